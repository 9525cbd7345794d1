"""A workbook through its reader, against python-calamine alone, in one run.

For whoever looks after the door. Usage: python benchmarks/xlsx.py [ROWS] > result.json

"Reader" is everything from the file to the raw table in the engine: the process of its own,
its limits, the cells as text. The target is twice python-calamine's own time.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import openpyxl
from python_calamine import CalamineWorkbook

from rapport.ingest.spreadsheet import read_sheet, read_sheets
from rapport.mapping import FileMapping

_HEADER = [
    "session_id",
    "client_id",
    "therapist_id",
    "started_at",
    "status",
    "service_code",
]


def write(path: Path, n_rows: int) -> None:
    """Write a workbook of ``n_rows`` sessions and ten more columns of numbers."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("sessions")
    sheet.append([*_HEADER, *(f"item_{n}" for n in range(10))])
    start = dt.datetime(2020, 1, 1, 9)
    for row in range(n_rows):
        when = start + dt.timedelta(minutes=30 * row)
        cells = [f"S{row}", f"A{row % 997}", f"T{row % 31}", when, "attended", "90837"]
        sheet.append([*cells, *((row + n) % 4 for n in range(10))])
    book.save(path)


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work, its child processes included."""

    def now() -> float:
        both = [
            resource.getrusage(who)
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        return sum(used.ru_utime + used.ru_stime for used in both)

    began = now()
    work()
    return now() - began


def main(n_rows: int) -> None:
    """Read one workbook both ways, three times; print one JSON document."""
    part = FileMapping(match="sessions.xlsx", table="sessions")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        path = Path(folder) / "sessions.xlsx"
        write(path, n_rows)
        con.execute("set threads = 1")

        def alone() -> None:
            sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
            assert len(sheet.to_python()) == n_rows + 1

        def reader() -> None:
            (sheet,) = read_sheets(path, Path(folder) / "cells", 4 << 30, 20 << 30)
            read_sheet(con, sheet, part, part.known_headers())
            found = con.execute("select count(*) from raw").fetchall()
            assert found == [(n_rows,)]

        times = [(cpu_of(alone), cpu_of(reader)) for _ in range(3)]
    ratios = [ours / theirs for theirs, ours in times]
    print(
        json.dumps(
            {
                "n_rows": n_rows,
                "n_columns": 16,
                "calamine_cpu_s": round(statistics.median(t[0] for t in times), 2),
                "reader_cpu_s": round(statistics.median(t[1] for t in times), 2),
                "ratios": [round(ratio, 2) for ratio in ratios],
                "load_average": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
