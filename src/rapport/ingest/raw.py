"""What every reader of a format leaves behind, and how it refuses.

A reader leaves three tables in the scratch database and returns a ``RawTable``:

- ``raw``: one row a readable row: ``row_no``, ``c1`` … ``cn``, all text, null when empty;
- ``unreadable``: one row a row that cannot be read: ``row_no``, ``reason``, ``line``;
- ``blank_line``: one row a line with nothing on it: ``row_no``.

Rows are numbered as a spreadsheet numbers them: the header of a sheet or of delimited
text is row 1. NDJSON counts lines and Parquet counts rows, both from 1.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport.mapping.vendor import FileMapping, normal_header

MAX_COLUMNS = 2_000
MAX_CELL_BYTES = 16 << 20


class FileRefused(Exception):
    """A whole file cannot be read; it goes to quarantine and nothing of it is loaded.

    Attributes:
        reason: a code of ``rapport.ingest.reasons``.
        n_rows: how many rows it holds, as far as it could be counted.
        column: the canonical column it is about, else empty.
    """

    def __init__(self, reason: str, n_rows: int = 0, column: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.n_rows = n_rows
        self.column = column


@dataclass(frozen=True)
class RawTable:
    """One table that a reader found in a file.

    Attributes:
        name: the sheet or the inner member it came from, else empty. Never printed.
        headers: by position, as they are written.
        encoding: how the text was encoded, or the format where that is fixed.
        delimiter: of delimited text, else empty.
        header_row: the last row of the header; 0 where the format has none.
        n_title_rows: rows above the header with something in them: counted as footer.
        has_blanks: whether a cell may begin or end with a blank.
    """

    name: str
    headers: tuple[str, ...]
    encoding: str
    delimiter: str = ""
    header_row: int = 1
    n_title_rows: int = 0
    has_blanks: bool = True


def is_header(headers: tuple[str, ...], known: Container[str]) -> bool:
    """Tell whether a row looks like a header: half of its words are the mapping's.

    One that does not may be a patient's row, so its "names" are never printed
    (privacy.md A1).
    """
    filled = [header for header in headers if header.strip()]
    return bool(filled) and 2 * n_known(headers, known) >= len(filled)


def n_known(headers: tuple[str, ...], known: Container[str]) -> int:
    """Count the words of a row that the mapping knows."""
    return sum(normal_header(header) in known for header in headers)


def find_header(
    rows: Sequence[Sequence[str]],
    part: FileMapping,
    known: Container[str],
    *,
    after: int = 0,
    is_merged: bool = False,
) -> tuple[int, tuple[str, ...]]:
    """Return the number of the header's last row, and its words by position.

    With ``auto`` it is the row that the mapping knows the most words of, titles above
    it left aside; of two alike (a header on every page) the first.

    Args:
        rows: the first rows of the table.
        part: what the mapping says.
        known: the normalised headers that it has a word for.
        after: rows at the start that cannot be the header.
        is_merged: merged cells are filled already.
    """
    if part.header_row != "auto":
        first = part.header_row - 1
        words = _joined(rows[first : first + part.header_rows], is_merged=is_merged)
        return first + part.header_rows, words
    best, best_known, words = after, 0, _joined(rows[after : after + 1], is_merged=True)
    is_found = False
    for at in range(after, len(rows) - part.header_rows + 1):
        here = _joined(rows[at : at + part.header_rows], is_merged=is_merged)
        if not is_found and not any(words) and any(here):
            best, words = at, here
        if is_header(here, known) and n_known(here, known) > best_known:
            best, best_known, words, is_found = at, n_known(here, known), here, True
    return min(best + part.header_rows, max(len(rows), 1)), words


def _joined(rows: Sequence[Sequence[str]], *, is_merged: bool) -> tuple[str, ...]:
    """Join the rows of a header; a cell merged over several stands over each of them."""
    width = max((len(row) for row in rows), default=0)
    words: list[list[str]] = [[] for _ in range(width)]
    for number, row in enumerate(rows, start=1):
        above = ""
        for place in range(width):
            cell = row[place] if place < len(row) else ""
            if cell.strip() or is_merged or number == len(rows):
                above = cell
            if above.strip() and above not in words[place]:
                words[place].append(above)
    return tuple(" ".join(parts) for parts in words)


def clear_raw(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what the file before left."""
    drop_relation(con, "raw")
    for table in ("raw_cells", "unreadable", "blank_line"):
        con.execute(f"drop table if exists {table}")


def drop_relation(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop ``raw`` or ``cell``: a table, or the view of a file that needs no copy."""
    try:
        con.execute(f"drop table if exists {name}")
    except duckdb.CatalogException:
        con.execute(f"drop view {name}")


def load_cells(
    con: duckdb.DuckDBPyConnection,
    cells: Path,
    n_columns: int,
    *,
    unreadable: Sequence[tuple[int, str]] = (),
    blank: Sequence[int] = (),
) -> None:
    """Leave the raw tables from a file of cells that a reader of ours wrote.

    Args:
        con: the scratch database.
        cells: CSV without a header; the first cell of a row is its number.
        n_columns: how many cells follow; shorter rows are padded.
        unreadable: (row number, reason) of rows that could not be read.
        blank: numbers of lines with nothing on them.
    """
    clear_raw(con)
    names = ["row_no", *(f"c{n}" for n in range(1, n_columns + 1))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    rest = "".join(f", c{n}" for n in range(1, n_columns + 1))
    con.execute(
        f"""
        create temp table raw as
        select row_no::bigint as row_no{rest}
        from read_csv(
            ?, header = false, auto_detect = false, delim = ',', quote = '"',
            escape = '"', columns = {{{columns}}}, nullstr = '', null_padding = true,
            parallel = false, max_line_size = {2 * MAX_CELL_BYTES}
        )
        """,
        [str(cells)],
    )
    con.execute(
        "create temp table unreadable (row_no bigint, reason varchar, line varchar)"
    )
    con.execute("create temp table blank_line (row_no bigint)")
    if unreadable:
        con.executemany("insert into unreadable values (?, ?, null)", list(unreadable))
    if blank:
        con.execute("insert into blank_line select unnest(?)", [list(blank)])
