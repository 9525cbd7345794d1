"""Read a delimited text file into a table of raw cells, every row accounted for.

This is the seam for other formats: a reader leaves a table ``raw`` (``row_no``, ``c1`` …
``cn``, all text) and a table ``unreadable`` (``row_no``, ``reason``, ``line``) in the
scratch database and says what the header was. The header is row 1, as in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

_MAX_HEADER_BYTES = 1 << 20
_MAX_ROW_BYTES = 16 << 20
_MAX_NUMBERS = 100_000

# What the engine calls a row it cannot read -> our reason.
_REASONS = {
    "MISSING COLUMNS": "row_too_short",
    "TOO MANY COLUMNS": "row_too_long",
    "UNQUOTED VALUE": "row_unparsable",
    "LINE SIZE OVER MAXIMUM": "value_too_long",
    "INVALID ENCODING": "encoding_unreadable",
}


class FileRefused(Exception):
    """A whole file cannot be read; it goes to quarantine and nothing of it is loaded."""

    def __init__(self, reason: str, n_rows: int = 0, column: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.n_rows = n_rows
        self.column = column


@dataclass(frozen=True)
class RawFile:
    """What a reader found: the headers by position, the encoding, empty lines."""

    headers: tuple[str, ...]
    encoding: str
    has_empty_lines: bool = False


def read_header(path: Path, delimiter: str) -> RawFile:
    """Read the header row and hold the file's bytes against UTF-8.

    Raises:
        FileRefused: the file is empty, or not UTF-8 text.
    """
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    if not head.strip():
        raise FileRefused("file_empty")
    if b"\0" in head:
        raise FileRefused("encoding_unreadable", _n_lines(path))
    has_empty_lines = _scan(path)
    text = head.decode("utf-8-sig", "ignore")
    headers = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    encoding = "utf-8-bom" if head.startswith(b"\xef\xbb\xbf") else "utf-8"
    return RawFile(tuple(headers), encoding, has_empty_lines)


def _scan(path: Path) -> bool:
    """Hold every byte against UTF-8; tell whether any line is empty."""
    has_empty_lines, tail = False, ""
    try:
        with path.open(encoding="utf-8") as file:  # every kind of line end becomes \n
            while block := file.read(1 << 20):
                has_empty_lines = has_empty_lines or "\n\n" in tail + block
                tail = block[-1]
    except UnicodeDecodeError:
        raise FileRefused("encoding_unreadable", _n_lines(path)) from None
    return has_empty_lines


def _n_lines(path: Path) -> int:
    """Count the lines below the header of a file that cannot be read as a table."""
    with path.open("rb") as file:
        n_breaks = sum(
            block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")
        )
    return max(0, n_breaks - 1)


def ends_with_newline(path: Path) -> bool:
    """Tell whether the last row was written to its end."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


def read_delimited(
    con: duckdb.DuckDBPyConnection, path: Path, delimiter: str, found: RawFile
) -> None:
    """Leave ``raw``, ``unreadable`` and ``blank_line`` in the scratch database.

    Grain: ``raw`` one row a readable row; ``unreadable`` one row a row that is not;
    ``blank_line`` one row a line with nothing on it.
    """
    n_columns = len(found.headers)
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(1, n_columns + 1))
    for table in ("raw", "unreadable", "blank_line", "rejected", "rejected_scan"):
        con.execute(f"drop table if exists {table}")
    con.execute(
        f"""
        create temp table accepted as
        select row_number() over () as n, *
        from read_csv(
            ?, header = false, skip = 1, auto_detect = false, delim = ?,
            quote = '"', escape = '"', columns = {{{columns}}}, nullstr = '',
            strict_mode = true, ignore_errors = true, store_rejects = true,
            rejects_table = 'rejected', rejects_scan = 'rejected_scan',
            max_line_size = {_MAX_ROW_BYTES}
        )
        """,
        [str(path), delimiter],
    )
    reasons = " ".join(f"when '{k}' then '{v}'" for k, v in _REASONS.items())
    con.execute(
        f"""
        create temp table unreadable as
        select
            line::bigint as row_no,
            min(case error_type::varchar {reasons} else 'row_unparsable' end) as reason,
            min(csv_line) as line
        from rejected
        where coalesce(trim(csv_line, E' \t\r\n'), '-') <> ''
        group by line
        """
    )
    con.execute("create temp table blank_line (row_no bigint)")
    con.execute(
        "insert into blank_line select distinct line from rejected"
        " where trim(csv_line, E' \t\r\n') = ''"
    )
    if found.has_empty_lines and n_columns > 1:
        for numbers in _empty_lines(path, delimiter):
            con.execute("insert into blank_line select unnest(?)", [numbers])
    # The n-th readable row stands behind every other row that has fewer than n readable
    # rows before it.
    con.execute(
        """
        create temp table raw as
        with gap as (
            select row_no - 1 - row_number() over (order by row_no) as n_before
            from (select row_no from unreadable union all from blank_line)
        )
        select
            accepted.n + 1 + (
                select count(*) from gap where gap.n_before < accepted.n
            ) as row_no,
            accepted.* exclude (n)
        from accepted
        """
    )
    con.execute("drop table accepted")


def _empty_lines(path: Path, delimiter: str) -> Iterator[list[int]]:
    """Give the row numbers of lines without a character, which the engine skips."""
    numbers: list[int] = []
    with path.open(encoding="utf-8-sig", newline="") as file, suppress(csv.Error):
        rows = csv.reader(file, delimiter=delimiter)
        for row_no, row in enumerate(rows, start=1):
            if not row:
                numbers.append(row_no)
                if len(numbers) == _MAX_NUMBERS:
                    yield numbers
                    numbers = []
    if numbers:
        yield numbers


def drop_unterminated_row(con: duckdb.DuckDBPyConnection) -> None:
    """Move the last row to ``unreadable``: its end was never written."""
    con.execute(
        """
        insert into unreadable
        select row_no, 'unterminated_last_row', null from raw
        where row_no = (select max(row_no) from raw)
            and row_no > coalesce((select max(row_no) from unreadable), 0)
        """
    )
    con.execute(
        "delete from raw where row_no in"
        " (select row_no from unreadable where reason = 'unterminated_last_row')"
    )
