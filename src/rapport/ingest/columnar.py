"""Read a Parquet file into a table of raw cells: every column as its text."""

from __future__ import annotations

from pathlib import Path

import duckdb

from rapport.ingest.raw import MAX_COLUMNS, FileRefused, RawTable, clear_raw

# A row of a file that holds anything takes more than this; a claim below it is a bomb.
_LEAST_BYTES_OF_A_MILLION_ROWS = 1_000
_MANY_ROWS = 20_000_000
_FLOATS = ("FLOAT", "DOUBLE")


def read_parquet(con: duckdb.DuckDBPyConnection, path: Path) -> RawTable:
    """Leave the raw tables of a Parquet file; rows are counted from 1.

    Raises:
        FileRefused: it is cut off or damaged, or claims what it cannot hold.
    """
    clear_raw(con)
    source = "read_parquet(?, binary_as_string = true, file_row_number = true)"
    try:
        _refuse_impossible_claims(con, path)
        found = con.execute(f"describe select * from {source}", [str(path)]).fetchall()
        columns = [
            (name, kind) for name, kind, *_ in found if name != "file_row_number"
        ]
        if len(columns) > MAX_COLUMNS:
            raise FileRefused("too_many_columns")
        cells = "".join(
            f", {_text_of(name, kind)} as c{n}"
            for n, (name, kind) in enumerate(columns, start=1)
        )
        con.execute(
            f"create temp table raw as select file_row_number + 1 as row_no{cells}"
            f" from {source}",
            [str(path)],
        )
    except (duckdb.Error, UnicodeDecodeError) as error:
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise
        raise FileRefused("file_unreadable") from None
    con.execute(
        "create temp table unreadable (row_no bigint, reason varchar, line varchar)"
    )
    con.execute("create temp table blank_line (row_no bigint)")
    headers = tuple(name for name, _ in columns)
    return RawTable("", headers, "parquet", header_row=0)


def _refuse_impossible_claims(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    row = con.execute(
        "select sum(num_rows) from parquet_file_metadata(?)", [str(path)]
    ).fetchone()
    n_rows = int(row[0] or 0) if row else 0
    least = n_rows / 1e6 * _LEAST_BYTES_OF_A_MILLION_ROWS
    if n_rows > _MANY_ROWS and path.stat().st_size < least:
        raise FileRefused("archive_bomb")


def _text_of(name: str, kind: str) -> str:
    """Return SQL of a column's text: ISO times, whole numbers without ``.0``."""
    column = '"' + name.replace('"', '""') + '"'
    if kind in _FLOATS:
        # A data frame keeps integers with gaps as floats, and the gaps as NaN.
        return (
            f"case when not isfinite({column}) then null"
            f" when {column} = trunc({column}) and abs({column}) < 1e15"
            f" then {column}::bigint::varchar else {column}::varchar end"
        )
    if kind.endswith("[]"):
        return f"nullif(array_to_string({column}, ';'), '')"
    return f"nullif({column}::varchar, '')"
