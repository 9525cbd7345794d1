"""Turn the sheets of a workbook into files of cells, in a process of its own.

A workbook may claim a billion cells, and its parser believes it: this process has a
limit of memory and time, so that it dies alone. It reads one path and writes below one
folder; what it found goes to stdout as JSON: never a cell.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

HEAD_ROWS = 60


def _text(cell: Any) -> Any:
    """Return a cell as text: ISO dates, integers without ``.0``, true and false."""
    kind = type(cell)
    if kind is str:
        return cell
    if kind is float:
        return int(cell) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if kind is bool:
        return "true" if cell else "false"
    if kind is datetime:
        # A serial number holds a second to about a tenth of a millisecond.
        whole = (cell + timedelta(milliseconds=500)).replace(microsecond=0)
        near = abs(whole - cell) <= timedelta(milliseconds=2)
        return (whole if near else cell).isoformat(sep=" ")
    if kind is date or kind is time:
        return cell.isoformat()
    if kind is timedelta:
        return str(int(cell.total_seconds()))
    return cell


def _write_sheet(sheet: Any, path: Path, max_bytes: int) -> dict[str, Any]:
    head: list[list[str]] = []
    n_rows = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, lineterminator="\n").writerow
        for number, row in enumerate(sheet.iter_rows(), start=1):
            cells = [_text(cell) for cell in row]
            if len(head) < HEAD_ROWS:
                head.append([str(cell) for cell in cells])
            write([number, *cells])
            n_rows = number
            if number % 1000 == 0 and out.tell() > max_bytes:
                raise MemoryError
    width = len(head[0]) if head else 0
    # Merged cells are given by their place on the sheet, the rows without empty columns
    # at its left.
    left = sheet.start[1] if sheet.start else 0
    merged = [
        [first[0], first[1] - left, last[0], last[1] - left]
        for first, last in sheet.merged_cell_ranges or []
        if first[0] < HEAD_ROWS
    ]
    return {"head": head, "n_rows": n_rows, "width": width, "merged": merged[:10_000]}


def main(path: Path, folder: Path, max_memory: int, max_bytes: int) -> None:
    """Write ``<n>.cells`` for each sheet; say what is in which on stdout."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_CPU, (1800, 1800))
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    with CalamineWorkbook.from_path(str(path)) as book:
        sheets = []
        for number, about in enumerate(book.sheets_metadata):
            said: dict[str, Any] = {
                "name": about.name,
                "is_visible": about.visible == SheetVisibleEnum.Visible,
            }
            if about.typ == SheetTypeEnum.WorkSheet:
                sheet = book.get_sheet_by_index(number)
                said |= _write_sheet(sheet, folder / f"{number}.cells", max_bytes)
                said["cells"] = f"{number}.cells"
            sheets.append(said)
    json.dump(sheets, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
