"""A read-only DuckDB dialect for Great Expectations.

It fetches after its connection context has closed; the rollback on close would discard
the rows. Reads need no transaction, so there is nothing to begin, commit or roll back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb_engine
from sqlalchemy.dialects import registry

from rapport.privacy.at_rest import DiskKey
from rapport.warehouse.connections import connect as open_by_path
from rapport.warehouse.connections import is_encrypted

# What the engine may take of the machine, by DuckDB's own names.
_limits: dict[str, str] = {}
# What opens the databases of the question that is being answered.
_keys: list[DiskKey] = []


def take_limits(limits: Mapping[str, str]) -> None:
    """Bound every connection that is made from now on."""
    _limits.clear()
    _limits.update(limits)


def take_keys(keys: Sequence[DiskKey]) -> None:
    """Open encrypted files with these from now on."""
    _keys[:] = keys


class ReadOnlyDuckDB(duckdb_engine.Dialect):
    """DuckDB without transactions, with every schema of the file on its search path.

    Great Expectations falls back to a bare table name when it asks for column types.
    """

    supports_statement_cache = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._columns: dict[tuple[str | None, str], Any] = {}

    def connect(self, *arguments: Any, **named: Any) -> Any:
        """Open an encrypted file as every reader does, with the key of the question."""
        path = Path(named["database"])
        if not path.is_file() or not is_encrypted(path):
            return super().connect(*arguments, **named)
        con = open_by_path(path, read_only=True, keys=_keys)
        return duckdb_engine.ConnectionWrapper(con)

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **named: Any
    ) -> Any:
        """Describe a table once: it is asked for every column, and can't change."""
        key = (schema, table_name)
        if key not in self._columns:
            self._columns[key] = super().get_columns(
                connection, table_name, schema, **named
            )
        return self._columns[key]

    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **named: Any
    ) -> Any:
        """Say at once that no table has a primary key: none of rapport's has."""
        return {"constrained_columns": [], "name": None}

    def on_connect(self) -> Callable[[Any], None]:
        """Return what is run on each new connection."""

        def search_every_schema(connection: Any) -> None:
            _bound(connection)
            connection.execute("set timezone = 'UTC'")
            connection.execute(
                "select string_agg(database_name || '.' || schema_name, ','"
                " order by schema_name)"
                " from duckdb_schemas() where not internal"
                " and database_name = current_database()"
            )
            (schemas,) = connection.fetchone()
            connection.execute(f"set search_path = '{schemas}'")

        return search_every_schema

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin nothing."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit nothing."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll nothing back."""


def _bound(connection: Any) -> None:
    """Set the limits; what stands is left, for a folder in use can't be set again."""
    for name, value in _limits.items():
        connection.execute("select current_setting(?)", (name,))
        if str(connection.fetchone()[0]) != value:
            quoted = value.replace("'", "''")
            connection.execute(f"set {name} = '{quoted}'")


registry.register("duckdb.gxro", __name__, "ReadOnlyDuckDB")
