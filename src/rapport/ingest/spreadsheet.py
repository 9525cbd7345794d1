"""Read a workbook's sheets into tables of raw cells: cached values, never formulas."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport.ingest.raw import (
    MAX_COLUMNS,
    FileRefused,
    RawTable,
    find_header,
    load_cells,
)
from rapport.mapping import FileMapping

_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Sheet:
    """One sheet, its cells written to a file.

    Attributes:
        name: its name. Never printed.
        is_visible: whether a person sees it; a hidden one is read only by its name.
        cells: the file of its cells, None for a sheet without any.
        head: its first rows, merged cells filled.
        width: how many columns it has.
    """

    name: str
    is_visible: bool
    cells: Path | None
    head: tuple[tuple[str, ...], ...]
    width: int


def read_sheets(
    path: Path, folder: Path, max_memory: int, max_bytes: int
) -> list[Sheet]:
    """Return the sheets of a workbook, their cells written below ``folder``.

    Args:
        path: the workbook.
        folder: where files of cells go.
        max_memory: bytes of memory that its parser may take.
        max_bytes: bytes that its cells may come to.

    Raises:
        FileRefused: it cannot be read, or claims more than it may take.
    """
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rapport.ingest.sheet_process",
            str(path),
            str(folder),
            str(max_memory),
            str(max_bytes),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if done.returncode != 0:
        # The parser's words may quote a cell: only their kind is looked at.
        too_large = done.returncode < 0 or "MemoryError" in done.stderr
        raise FileRefused("workbook_too_large" if too_large else "file_unreadable")
    sheets = []
    for said in json.loads(done.stdout):
        head = _filled(said.get("head", []), said.get("merged", []))
        cells = folder / said["cells"] if said.get("n_rows") else None
        sheets.append(
            Sheet(said["name"], said["is_visible"], cells, head, said.get("width", 0))
        )
    return sheets


def _filled(
    rows: list[list[str]], merged: list[list[int]]
) -> tuple[tuple[str, ...], ...]:
    """Write a merged cell's words into each cell that it covers."""
    for top, left, bottom, right in merged:
        for row in rows[top : bottom + 1]:
            for place in range(max(0, left), min(right + 1, len(row))):
                row[place] = rows[top][max(0, left)]
    return tuple(tuple(row) for row in rows)


def read_sheet(
    con: duckdb.DuckDBPyConnection,
    sheet: Sheet,
    part: FileMapping,
    known: Container[str],
) -> RawTable:
    """Leave the raw tables of one sheet in the scratch database.

    Raises:
        FileRefused: nothing in it, or more columns than any export has.
    """
    if sheet.cells is None or not any(any(row) for row in sheet.head):
        raise FileRefused("file_empty")
    at, headers = find_header(sheet.head, part, known, is_merged=True)
    while headers and not headers[-1].strip():
        headers = headers[:-1]
    if sheet.width > MAX_COLUMNS:
        raise FileRefused("too_many_columns")
    titles = sheet.head[: at - part.header_rows]
    n_titles = sum(any(cell.strip() for cell in row) for row in titles)
    load_cells(con, sheet.cells, sheet.width)
    con.execute(f"delete from raw where row_no <= {at}")
    return RawTable(sheet.name, _padded(headers, sheet.width), "xlsx", "", at, n_titles)


def _padded(headers: tuple[str, ...], width: int) -> tuple[str, ...]:
    return headers + ("",) * (width - len(headers))
