"""Every row of a file that the engine wrote, for the search of planted strings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

_ROWS_AT_ONCE = 10_000
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def table_rows(path: Path) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Yield (part, rows) of a DuckDB or Parquet file: tables, names, views, metadata.

    Raises:
        OSError: the file says that it is a table and can't be opened.
    """
    try:
        with path.open("rb") as file:
            is_parquet = file.read(3) == b"PAR"
        yield from _parquet(path) if is_parquet else _duckdb(path)
    except duckdb.Error as error:
        # Its text may quote a value of the file.
        raise OSError(f"not readable: {type(error).__name__}") from None


def _duckdb(path: Path) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    with duckdb.connect(path, read_only=True, config=_CONFIG) as con:
        for view in ("duckdb_tables()", "duckdb_views()", "duckdb_columns()"):
            yield from _rows(con, f"from {view} where not internal", view)
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall()
        for schema, table in tables:
            named = table.replace('"', '""')
            yield from _rows(con, f'from "{schema}"."{named}"', f"{schema}.{table}")


def _parquet(path: Path) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    with duckdb.connect(config=_CONFIG) as con:
        for part in (
            "read_parquet",
            "parquet_metadata",
            "parquet_schema",
            "parquet_kv_metadata",
        ):
            yield from _rows(con, f"from {part}($file)", part, {"file": str(path)})


def _rows(
    con: duckdb.DuckDBPyConnection,
    query: str,
    part: str,
    arguments: dict[str, str] | None = None,
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    cursor = con.execute(query, arguments)
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield part, rows
