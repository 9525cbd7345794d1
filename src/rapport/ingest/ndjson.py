"""Read NDJSON into a table of raw cells: one object a line, its keys the headers.

Nested objects are flattened with dots, lists of plain values joined by ``;``. Numbers
keep the digits they were written with.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from rapport.ingest.raw import (
    MAX_CELL_BYTES,
    MAX_COLUMNS,
    FileRefused,
    RawTable,
    load_cells,
)

MAX_DEPTH = 32
_MAX_BAD_ROWS = 1_000_000


class _BadLine(Exception):
    """A line that is no row; its reason code."""


def read_ndjson(con: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> RawTable:
    """Leave the raw tables of an NDJSON file; lines are counted from 1.

    Raises:
        FileRefused: it is cut off, not UTF-8, or has a line or keys beyond all measure.
    """
    places: dict[str, int] = {}
    unreadable: list[tuple[int, str]] = []
    blank: list[int] = []
    cells = folder / "ndjson.cells"
    with cells.open("w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, lineterminator="\n").writerow
        for number, line, is_ended in _lines(path):
            if not line.strip():
                blank.append(number)
                continue
            try:
                row = _flat(_object(line))
            except _BadLine as bad:
                if not is_ended:
                    # Its end was never written: nobody knows what else is missing.
                    raise FileRefused("ndjson_cut_off", number) from None
                unreadable.append((number, str(bad)))
                if len(unreadable) > _MAX_BAD_ROWS:
                    raise FileRefused("file_unreadable", number) from None
                continue
            for key in row:
                places.setdefault(key, len(places))
            if len(places) > MAX_COLUMNS:
                raise FileRefused("too_many_columns", number)
            texts = [""] * (max((places[k] for k in row), default=-1) + 1)
            for key, text in row.items():
                texts[places[key]] = text
            write([number, *texts])
    if not places:
        raise FileRefused("file_unreadable" if unreadable else "file_empty")
    load_cells(con, cells, len(places), unreadable=unreadable, blank=blank)
    return RawTable("", tuple(places), "utf-8", header_row=0)


def _lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield (number, line, whether its end was written)."""
    with path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        number = 0
        while line := file.readline(MAX_CELL_BYTES + 1):
            number += 1
            if len(line) > MAX_CELL_BYTES:
                raise FileRefused("line_too_long", number)
            if b"\0" in line:
                raise FileRefused("nul_byte", number)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                raise FileRefused("encoding_unreadable", number) from None
            yield number, text, text.endswith("\n")


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(
            line,
            parse_int=str,
            parse_float=str,
            parse_constant=_no_number,
            object_pairs_hook=_no_key_twice,
        )
    except RecursionError:
        raise _BadLine("json_too_deep") from None
    except ValueError:
        raise _BadLine("row_unparsable") from None
    if not isinstance(found, dict):
        raise _BadLine("row_unparsable")
    return found


def _no_number(word: str) -> None:
    """NaN and the infinities are no JSON, and no value."""
    raise _BadLine("json_not_a_number")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadLine("json_duplicate_key")
    return found


def _flat(found: dict[str, Any]) -> dict[str, str]:
    """Return the plain values of an object, each under its path."""
    flat: dict[str, str] = {}
    left: list[tuple[str, Any, int]] = [("", found, 0)]
    while left:
        path, value, depth = left.pop()
        if depth > MAX_DEPTH:
            raise _BadLine("json_too_deep")
        if isinstance(value, dict):
            left += [
                (f"{path}.{key}" if path else key, below, depth + 1)
                for key, below in reversed(value.items())
            ]
        elif path in flat:
            raise _BadLine("json_duplicate_key")
        else:
            flat[path] = _text(value)
    return flat


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return ";".join(value)
        try:
            return json.dumps(value, ensure_ascii=False)
        except RecursionError:
            raise _BadLine("json_too_deep") from None
    return str(value)
