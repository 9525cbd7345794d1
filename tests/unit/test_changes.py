"""ops.change_log: what a night changes, counted by table, kind and month."""

import duckdb
import pytest

from rapport.warehouse.changes import (
    BASELINE_COMMENTS,
    COMMENTS,
    count_changes,
    note_baselines,
)

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


# --- ops.baseline_correction


def with_chart(con: duckdb.DuckDBPyConnection, name: str, values: list[float]) -> None:
    """Lay a chart with limits frozen from its first three points."""
    con.execute(f"create schema if not exists {name}.qi")
    con.execute(
        f"create or replace table {name}.qi.spc_series as select 'dropout' as chart_id,"
        " 'all' as clinic_key, 0 as segment, null::varchar as change_note,"
        " 'fixed' as limits, 3 as baseline_points"
    )
    con.execute(
        f"create or replace table {name}.qi.spc_point as select 'dropout' as chart_id,"
        " 'all' as clinic_key, 0 as segment,"
        " date '2024-01-01' + interval (place) month as month, value,"
        " 1 as numerator, 2 as denominator, true as used"
        " from (select unnest(?) as value, unnest(range(len(?))) as place)",
        [values, values],
    )
    con.execute(f"create or replace table {name}.ops.run as"
                " select 'r2' as run_id, date '2026-03-31' as as_of,"
                " 'published' as outcome, timestamp '2026-03-31' as started_at")  # fmt: skip


def corrections(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    return con.execute("select chart_id, corrected_on::varchar"
                       " from after.ops.baseline_correction").fetchall()  # fmt: skip


def test_a_corrected_baseline_is_noted_with_its_night_and_stays_noted(
    con: duckdb.DuckDBPyConnection,
) -> None:
    with_chart(con, "before", [0.1, 0.2, 0.3, 0.4])
    with_chart(con, "after", [0.1, 0.25, 0.3, 0.4])
    note_baselines(con, "r2", "before", "after")
    assert corrections(con) == [("dropout", "2026-03-31")]

    con.execute("create table before.ops.baseline_correction as"
                " from after.ops.baseline_correction")  # fmt: skip
    con.execute("drop table after.ops.baseline_correction")
    with_chart(con, "before", [0.1, 0.25, 0.3, 0.4])
    note_baselines(con, "r2", "before", "after")
    assert corrections(con) == [("dropout", "2026-03-31")]


def test_a_month_behind_the_baseline_moves_no_limit(
    con: duckdb.DuckDBPyConnection,
) -> None:
    with_chart(con, "before", [0.1, 0.2, 0.3, 0.4])
    with_chart(con, "after", [0.1, 0.2, 0.3, 0.9, 0.5])
    note_baselines(con, "r2", "before", "after")
    assert corrections(con) == []


def test_a_snapshot_without_charts_has_no_baseline_to_correct(
    con: duckdb.DuckDBPyConnection,
) -> None:
    with_chart(con, "after", [0.1, 0.2, 0.3])
    note_baselines(con, "r2", "before", "after")
    assert corrections(con) == []


def test_every_column_of_a_correction_is_described(
    con: duckdb.DuckDBPyConnection,
) -> None:
    note_baselines(con, "r2", None, "after")
    columns = con.execute("select 'column ops.baseline_correction.' || column_name from"
                          " duckdb_columns() where table_name = 'baseline_correction'").fetchall()  # fmt: skip
    table = "table ops.baseline_correction"
    assert {name for (name,) in columns} == set(BASELINE_COMMENTS) - {table}
