"""ops.change_log: what a night changes, counted by table, kind and month."""

import duckdb
import pytest

from rapport.warehouse.changes import COMMENTS, count_changes

BEFORE = [
    ("same", "2026-01-10", "attended"),
    ("corrected", "2026-01-20", "attended"),
    ("moved", "2026-02-10", "attended"),
    ("gone", "2026-02-11", "no_show"),
]
AFTER = [
    ("same", "2026-01-10", "attended"),
    ("corrected", "2026-01-20", "no_show"),
    ("moved", "2026-02-12", "attended"),
    ("late", "2026-01-30", "attended"),
    ("new", "2026-03-01", "attended"),
]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    for name, rows in (("before", BEFORE), ("after", AFTER)):
        con.execute(f"attach ':memory:' as {name}")
        con.execute(f"create schema {name}.core")
        con.execute(f"create schema {name}.ops")
        con.execute(f"create table {name}.core.fct_session"
                    " (session_key varchar, session_date date, status varchar)")  # fmt: skip
        con.executemany(f"insert into {name}.core.fct_session values (?, ?, ?)", rows)
        con.execute(f"create table {name}.ops.run as select date '2026-02-28' as as_of,"
                    " 'published' as outcome, timestamp '2026-02-28' as started_at")  # fmt: skip
    con.execute("use after")
    return con


def test_rows_added_removed_and_changed_are_counted_by_month(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Of January, a past month, a late row and a correction; nothing of what stayed."""
    count_changes(con, "r1", "before", "after")
    rows = con.execute("select change, month::varchar, is_past_month, n_rows"
                       " from ops.change_log order by 1, 2").fetchall()  # fmt: skip
    assert rows == [
        ("added", "2026-01-01", True, 1),
        ("added", "2026-03-01", False, 1),
        ("changed", "2026-01-01", True, 1),
        ("changed", "2026-02-01", False, 1),
        ("removed", "2026-02-01", False, 1),
    ]
    assert con.execute(
        "select distinct run_id, table_name from ops.change_log"
    ).fetchall() == [("r1", "core.fct_session")]


def test_the_first_night_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    count_changes(con, "r1", None, "after")
    assert con.execute("select count(*) from ops.change_log").fetchone() == (0,)


def test_the_same_again_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    count_changes(con, "r1", "after", "after")
    assert con.execute("select count(*) from ops.change_log").fetchone() == (0,)


def test_a_table_whose_columns_changed_is_not_compared(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """A new release adds a column: that is no restatement."""
    con.execute("alter table after.core.fct_session add column modality varchar")
    count_changes(con, "r1", "before", "after")
    assert con.execute("select count(*) from ops.change_log").fetchone() == (0,)


def test_every_column_is_described(con: duckdb.DuckDBPyConnection) -> None:
    count_changes(con, "r1", None, "after")
    columns = con.execute("select 'column ops.change_log.' || column_name from"
                          " duckdb_columns() where table_name = 'change_log'").fetchall()  # fmt: skip
    assert {name for (name,) in columns} == set(COMMENTS) - {"table ops.change_log"}
