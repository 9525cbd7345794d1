"""Every row of a file that the engine wrote, for the search of planted strings."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import quote

import duckdb

from rapport.errors import KeyMissing
from rapport.privacy.at_rest import SEALED, DiskKey, disk_keys, is_sealed, unsealed
from rapport.privacy.scan import sqlite_rows
from rapport.warehouse.connections import connect, is_encrypted, open_memory, parquet

_ROWS_AT_ONCE = 10_000
_SQLITE = b"SQLite format 3\0"
_Parts = Iterator[tuple[str, list[tuple[object, ...]]]]


def table_rows(path: Path) -> _Parts:
    """Yield (part, rows) of a DuckDB or Parquet file: tables, names, views, metadata.

    Raises:
        OSError: the file says that it is a table and can't be opened, or is encrypted.
    """
    return _rows_of(path, ())


def table_reader(home: Path) -> Callable[[Path], _Parts]:
    """Return ``table_rows`` with the keys of a vault: it opens what is encrypted too.

    Raises:
        KeyMissing: a key is missing, or not the one of this vault (exit 2).
    """
    keys = disk_keys(home)
    return lambda path: _rows_of(path, keys)


def _rows_of(path: Path, keys: tuple[DiskKey, ...]) -> _Parts:
    try:
        if is_sealed(path):
            yield from _sealed(path, keys)
        elif _is_parquet(path):
            yield from _parquet(path, keys)
        else:
            yield from _duckdb(path, keys)
    except (duckdb.Error, KeyMissing) as error:
        # Its text may quote a value of the file.
        raise OSError(f"not readable: {type(error).__name__}") from None


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"PAR"


def _sealed(path: Path, keys: tuple[DiskKey, ...]) -> _Parts:
    """Yield the tables of a sealed store, or a sealed file's bytes as one cell a piece."""
    pieces = unsealed(path, keys)
    first = next(pieces)
    if first.startswith(_SQLITE):
        with closing(sqlite3.connect(":memory:")) as con:
            con.deserialize(first + b"".join(pieces))
            yield from sqlite_rows(con)
    else:
        yield "sealed", [(piece,) for piece in (first, *pieces)]


_OF_CLIENT = re.compile(r"(client|patient|person|record)(_?(id|no|nr|number))?", re.I)


def files_with_short_ids(
    folder: Path, ids: Iterable[str], keys: tuple[DiskKey, ...] = ()
) -> tuple[set[str], int]:
    """Search the columns that are named for client ids, cell by cell, in every table.

    For ids that are too short to be told from chance in bytes. Tables that can't be opened
    are the other search's to name.

    Returns:
        The files that hold one, and how many different cells were read.
    """
    wanted = {id_.strip() for id_ in ids}
    holding: set[str] = set()
    n_cells = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            for cells in _id_columns(path, keys):
                n_cells += len(cells)
                if not wanted.isdisjoint(cells):
                    holding.add(path.relative_to(folder).as_posix())
        except (OSError, duckdb.Error, sqlite3.Error, KeyMissing):
            continue
    return holding, n_cells


def _id_columns(path: Path, keys: tuple[DiskKey, ...]) -> Iterator[set[str]]:
    """Yield the different cells of each column of a table that holds client ids."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3"):
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        ) as lite:
            yield from _id_columns_of_store(lite)
    elif head == SEALED[:16]:
        said = b"".join(unsealed(path, keys))
        if said.startswith(_SQLITE):
            with closing(sqlite3.connect(":memory:")) as lite:
                lite.deserialize(said)
                yield from _id_columns_of_store(lite)
    elif head[:3] == b"PAR":
        with closing(_reader(keys).cursor()) as con:
            table = f"from {parquet(path)}"
            for column, *_ in con.execute(f"describe {table}").fetchall():
                if _OF_CLIENT.fullmatch(column):
                    yield _distinct(con, table, column)
    elif head[8:12] == b"DUCK":
        with closing(connect(path, read_only=True, keys=keys)) as con:
            for schema, table, column in con.execute(
                "select schema_name, table_name, column_name from duckdb_columns()"
                " where not internal"
            ).fetchall():
                if _OF_CLIENT.fullmatch(column):
                    yield _distinct(con, f'from "{schema}"."{table}"', column)


def _id_columns_of_store(lite: sqlite3.Connection) -> Iterator[set[str]]:
    columns = lite.execute(
        "select t.name, c.name from sqlite_master as t"
        " join pragma_table_info(t.name) as c where t.type = 'table'"
    ).fetchall()
    for table, column in columns:
        if _OF_CLIENT.fullmatch(column):
            yield _distinct(lite, f'from "{table}"', column)


def _distinct(
    con: sqlite3.Connection | duckdb.DuckDBPyConnection, table: str, column: str
) -> set[str]:
    named = column.replace('"', '""')
    rows = con.execute(f'select distinct "{named}" {table}').fetchall()
    return {str(cell).strip() for (cell,) in rows if cell is not None}


def _duckdb(path: Path, keys: tuple[DiskKey, ...]) -> _Parts:
    with closing(connect(path, read_only=True, keys=keys)) as con:
        for view in ("duckdb_tables()", "duckdb_views()", "duckdb_columns()"):
            yield from _rows(con, f"from {view} where not internal", view)
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall()
        for schema, table in tables:
            named = table.replace('"', '""')
            yield from _rows(con, f'from "{schema}"."{named}"', f"{schema}.{table}")


@cache
def _reader(keys: tuple[DiskKey, ...]) -> duckdb.DuckDBPyConnection:
    """Return the database in memory that Parquet files are read through, made once."""
    return open_memory(keys)


def _parquet(path: Path, keys: tuple[DiskKey, ...]) -> _Parts:
    with closing(_reader(keys).cursor()) as con:
        yield from _rows(con, f"from {parquet(path)}", "read_parquet")
        if is_encrypted(path):  # its metadata is: the engine reads it for itself alone
            return
        for part in ("parquet_metadata", "parquet_schema", "parquet_kv_metadata"):
            yield from _rows(con, f"from {part}($file)", part, {"file": str(path)})


def _rows(
    con: duckdb.DuckDBPyConnection,
    query: str,
    part: str,
    arguments: dict[str, str] | None = None,
) -> _Parts:
    cursor = con.execute(query, arguments)
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield part, rows
