"""Read delimited text into a table of raw cells, every row accounted for.

Delimiter and header row are found by the names that the mapping knows; the engine reads
the cells. Rows are the logical ones: a line break inside quotes ends no row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport.ingest.encoding import Text
from rapport.ingest.raw import (
    MAX_CELL_BYTES,
    MAX_COLUMNS,
    FileRefused,
    RawTable,
    clear_raw,
    drop_relation,
    find_header,
)
from rapport.ingest.spelling import literal
from rapport.mapping import FileMapping
from rapport.mapping.vendor import normal_header

_HEAD_BYTES = 1 << 20
_HEAD_ROWS = 40
_SMALL_BYTES = 1 << 20
_MAX_NUMBERS = 100_000
_DELIMITERS = (",", ";", "\t", "|")
_SEP = re.compile(r'^"?sep=(.)"?;*$', re.IGNORECASE)

# What the engine calls a row it cannot read -> our reason.
_REASONS = {
    "MISSING COLUMNS": "row_too_short",
    "TOO MANY COLUMNS": "row_too_long",
    "UNQUOTED VALUE": "row_unparsable",
    "LINE SIZE OVER MAXIMUM": "value_too_long",
    "INVALID ENCODING": "encoding_unreadable",
}


@dataclass(frozen=True)
class Head:
    """What the first rows say of a delimited file.

    Attributes:
        headers: the words of the header, by position.
        delimiter: what parts the cells.
        header_row: the last row of the header.
        n_title_rows: rows with words above it.
        n_cells: cells of a data row; one more than headers where every row ends in a
            delimiter.
        has_end: whether the header's line was written to its end.
    """

    headers: tuple[str, ...]
    delimiter: str
    header_row: int
    n_title_rows: int
    n_cells: int
    has_end: bool


def read_head(text: Text, part: FileMapping, known: Container[str]) -> Head:
    """Find delimiter and header.

    Raises:
        FileRefused: nothing in it, or more columns than any export has.
    """
    with text.path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
        is_whole = not file.read(1)
    head = start.decode("utf-8-sig", "ignore")
    if not head.strip():
        raise FileRefused("file_empty")
    said = _SEP.match(re.split(r"\r\n|\r|\n", head, maxsplit=1)[0])
    if part.delimiter != "auto":
        candidates: tuple[str, ...] = (part.delimiter,)
    elif said:
        candidates = (said[1],)
    else:
        candidates = _DELIMITERS
    found = [
        _head(head, delimiter, part, known, is_whole=is_whole, has_sep=bool(said))
        for delimiter in candidates
    ]
    _, _, best = max(found, key=lambda f: f[:2])
    if len(best.headers) > MAX_COLUMNS:
        raise FileRefused("too_many_columns")
    return best


def _head(
    head: str,
    delimiter: str,
    part: FileMapping,
    known: Container[str],
    *,
    is_whole: bool,
    has_sep: bool,
) -> tuple[int, int, Head]:
    """Return (known headers, cells, head) as one delimiter would have it."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            rows.append(row)
            if len(rows) == _HEAD_ROWS + part.header_rows + 1:
                break
    at, headers = find_header(rows, part, known, after=1 if has_sep else 0)
    below = next((row for row in rows[at:] if any(c.strip() for c in row)), None)
    # A header without its line end was cut off: the names after it are not known.
    has_end = not is_whole or len(rows) > at or head.endswith(("\n", "\r"))
    n_cells = len(headers)
    if below is not None:
        if len(below) == n_cells + 1 and not below[-1].strip():
            n_cells += 1
        elif len(below) == n_cells - 1 and not headers[-1].strip():
            n_cells -= 1
            headers = headers[:-1]
    titles = rows[1 if has_sep else 0 : at - part.header_rows]
    n_titles = sum(any(cell.strip() for cell in row) for row in titles)
    n_known = sum(name in known for name in {normal_header(h) for h in headers})
    return n_known, n_cells, Head(headers, delimiter, at, n_titles, n_cells, has_end)


def read_delimited(
    con: duckdb.DuckDBPyConnection, text: Text, head: Head, copy: Callable[[], Path]
) -> RawTable:
    """Leave ``raw``, ``unreadable`` and ``blank_line`` in the scratch database.

    Args:
        con: the scratch database.
        text: the file as UTF-8.
        head: what ``read_head`` found in it.
        copy: where a copy with one kind of line end may be written.

    Raises:
        FileRefused: the engine cannot tell its rows apart.
    """
    clear_raw(con)
    try:
        _accept(con, text.path, head)
    except duckdb.InvalidInputException:
        # Line ends of several kinds: the engine wants one.
        path = copy()
        _write_with_one_line_end(text.path, path)
        try:
            _accept(con, path, head)
        except duckdb.InvalidInputException:
            raise FileRefused("file_unreadable") from None
    _tell_rows_apart(con, text, head)
    return RawTable(
        "",
        head.headers,
        text.encoding,
        head.delimiter,
        head.header_row,
        head.n_title_rows,
        text.has_blanks,
    )


def _accept(con: duckdb.DuckDBPyConnection, path: Path, head: Head) -> None:
    drop_relation(con, "raw")
    for table in ("raw_cells", "rejected", "rejected_scan"):
        con.execute(f"drop table if exists {table}")
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(1, head.n_cells + 1))
    # The engine fills its buffers before it reads: a small file gets small ones.
    n_bytes = path.stat().st_size
    buffers = f"max_line_size = {MAX_CELL_BYTES}"
    if n_bytes < _SMALL_BYTES:
        buffers = f"max_line_size = {n_bytes + 64}, buffer_size = {2 * n_bytes + 4096}"
    con.execute(
        f"""
        create temp table raw_cells as
        select * from read_csv(
            {literal(str(path))}, header = false, skip = 0, auto_detect = false,
            delim = {literal(head.delimiter)},
            quote = '"', escape = '"', columns = {{{columns}}}, nullstr = '',
            strict_mode = true, ignore_errors = true, store_rejects = true,
            rejects_table = 'rejected', rejects_scan = 'rejected_scan', {buffers}
        )
        """
    )
    _view_raw(con, 0)


def _view_raw(con: duckdb.DuckDBPyConnection, n_above: int) -> None:
    """Make ``raw`` a view of what was read, numbered, without the first rows.

    Rows lie in the order of their lines and none is ever taken out, so that their place
    is their number; to number them while reading costs as much as the reading.
    """
    con.execute(
        "create or replace temp view raw as select rowid + 1 as row_no, * from raw_cells"
        f" where rowid >= {n_above}"
    )


def _write_with_one_line_end(path: Path, copy: Path) -> None:
    with (
        path.open(encoding="utf-8", newline=None) as file,
        copy.open("w", encoding="utf-8", newline="\n") as out,
    ):
        while block := file.read(1 << 20):
            out.write(block)


def _tell_rows_apart(con: duckdb.DuckDBPyConnection, text: Text, head: Head) -> None:
    """Number the rows; part the unreadable and the blank ones from the readable."""
    reasons = " ".join(f"when '{k}' then '{v}'" for k, v in _REASONS.items())
    con.execute(
        f"""
        create temp table unreadable as
        select
            line::bigint as row_no,
            min(case error_type::varchar {reasons} else 'row_unparsable' end) as reason,
            min(ltrim(csv_line, chr(10))) as line
        from rejected group by line
        """
    )
    con.execute("create temp table blank_line (row_no bigint)")
    n_rejected = con.execute("select count(*) from unreadable").fetchall()[0][0]
    if n_rejected:
        is_blank = "trim(line, ' ' || chr(9) || chr(10) || chr(13)) = ''"
        con.execute(
            f"insert into blank_line select row_no from unreadable where {is_blank}"
        )
        con.execute(f"delete from unreadable where {is_blank}")
    # With one column the engine gives an empty line as a row with nothing in it.
    if text.has_empty_lines and head.n_cells > 1:
        for numbers in _empty_lines(text.path, head.delimiter):
            con.execute("insert into blank_line select unnest(?)", [numbers])
    if n_rejected or text.has_empty_lines:
        _number_around_gaps(con)
        con.execute(f"delete from raw where row_no <= {head.header_row}")
        con.execute(f"delete from unreadable where row_no <= {head.header_row}")
        con.execute(f"delete from blank_line where row_no <= {head.header_row}")
    else:
        _view_raw(con, head.header_row)
    if head.n_cells > len(head.headers):
        # Every row ends in a delimiter; a row with a word behind it has a cell too many.
        _move(con, head, "row_too_long", f"c{head.n_cells} is not null")


def _number_around_gaps(con: duckdb.DuckDBPyConnection) -> None:
    """The n-th readable row stands behind every other row that has fewer before it."""
    con.execute(
        """
        create temp table numbered as
        with gap as (
            select row_no - row_number() over (order by row_no) as n_before
            from (select row_no from unreadable union all from blank_line)
        ),
        gaps as (
            select n_before, sum(count(*)) over (order by n_before) as n_gaps
            from gap group by n_before
        )
        select raw.row_no + coalesce(gaps.n_gaps, 0)::bigint as row_no,
            raw.* exclude (row_no)
        from raw asof left join gaps on raw.row_no > gaps.n_before
        order by 1
        """
    )
    _replace_raw(con, "numbered")


def _replace_raw(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Put a table in the place of ``raw``."""
    drop_relation(con, "raw")
    con.execute("drop table if exists raw_cells")
    con.execute(f"alter table {table} rename to raw")


def _empty_lines(path: Path, delimiter: str) -> Iterator[list[int]]:
    """Give the row numbers of lines without a character, which the engine skips."""
    numbers: list[int] = []
    csv.field_size_limit(MAX_CELL_BYTES)
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


def _move(
    con: duckdb.DuckDBPyConnection, head: Head, reason: str, condition: str
) -> None:
    """Move rows from ``raw`` to ``unreadable``, whole."""
    cells = ", ".join(f"coalesce(c{n}, '')" for n in range(1, head.n_cells + 1))
    con.execute(
        f"insert into unreadable select row_no, '{reason}', concat_ws(?, {cells})"
        f" from raw where {condition}",
        [head.delimiter],
    )
    con.execute(f"create temp table kept as from raw where ({condition}) is not true")
    _replace_raw(con, "kept")


def ends_with_newline(path: Path) -> bool:
    """Tell whether the last row was written to its end."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


def drop_unterminated_row(con: duckdb.DuckDBPyConnection, head: Head) -> None:
    """Move the last row to ``unreadable``: its end was never written."""
    found = con.execute(
        "select max(row_no) from raw"
        " having max(row_no) > coalesce((select max(row_no) from unreadable), 0)"
    ).fetchone()
    if found:
        _move(con, head, "unterminated_last_row", f"row_no = {found[0]}")
