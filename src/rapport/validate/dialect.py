"""A read-only DuckDB dialect for Great Expectations.

It fetches after its connection context has closed; the rollback on close would discard
the rows. Reads need no transaction, so there is nothing to begin, commit or roll back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb_engine
from sqlalchemy.dialects import registry


class ReadOnlyDuckDB(duckdb_engine.Dialect):
    """DuckDB without transactions, with every schema of the file on its search path.

    Great Expectations falls back to a bare table name when it asks for column types.
    """

    supports_statement_cache = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._columns: dict[tuple[str | None, str], Any] = {}

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
            connection.execute("set timezone = 'UTC'")
            connection.execute(
                "select string_agg(distinct schema_name, ',' order by schema_name)"
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


registry.register("duckdb.gxro", __name__, "ReadOnlyDuckDB")
