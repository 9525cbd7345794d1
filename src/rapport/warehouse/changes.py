"""What a night changes of what was published before it, as counts.

A late form, a correction or a changed setting moves past months: the counts say how many
rows of which table and month, never whose.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Grain:
    """What names one row of a published table, and the date that gives it a month."""

    table: str
    keys: tuple[str, ...]
    dated_by: str | None = None


GRAINS = (
    Grain("core.dim_client", ("client_key",)),
    Grain("core.fct_session", ("session_key",), "session_date"),
    Grain("core.fct_episode", ("episode_key",), "opened_on"),
    Grain("core.fct_diagnosis", ("client_key", "episode_key", "system", "code",
                                 "recorded_on"), "recorded_on"),
    Grain("core.fct_measure_score", ("administration_key", "subscale"),
          "administered_on"),
    Grain("alliance.fct_alliance_session", ("session_key", "instrument"),
          "session_date"),
    Grain("alliance.fct_rupture", ("rupture_key",), "onset_date"),
    Grain("alliance.rupture_cohort", ("episode_key", "method")),
    Grain("alliance.fct_therapist_marker", ("session_key",)),
    Grain("alliance.fct_strengthening", ("session_key",), "session_date"),
    Grain("alliance.fct_congruence", ("episode_key", "instrument", "component")),
    Grain("alliance.fct_goal_overlap", ("episode_key",)),
    Grain("alliance.trajectory_by_session", ("trauma_focused", "instrument",
                                             "component", "session_number")),
    Grain("outcomes.fct_episode_outcome", ("episode_key", "instrument")),
    Grain("outcomes.fct_stall", ("episode_key", "instrument", "stall_date"),
          "stall_date"),
    Grain("outcomes.fct_care_signal", ("signal_key",), "opened_on"),
    Grain("qi.alliance_monthly", ("month", "clinic_key", "instrument", "rater",
                                  "component"), "month"),
    Grain("qi.completion_monthly", ("month", "clinic_key", "form"), "month"),
    Grain("qi.rupture_repair_monthly", ("month", "clinic_key", "method", "instrument",
                                        "lead_component"), "month"),
    Grain("qi.early_alliance", ("period_start", "clinic_key", "band"), "period_start"),
    Grain("qi.stall_by_component", ("period_start", "clinic_key", "instrument",
                                    "component"), "period_start"),
    Grain("qi.outcome_monthly", ("month", "clinic_key", "instrument"), "month"),
    Grain("qi.endings", ("month", "clinic_key", "pattern"), "month"),
    Grain("qi.spc_series", ("chart_id", "clinic_key", "segment")),
    Grain("qi.spc_point", ("chart_id", "clinic_key", "month"), "month"),
    Grain("qi.clinic_funnel", ("indicator", "clinic_key")),
    Grain("qi.equity", ("dimension", "group_value", "indicator")),
    Grain("qi.method_comparison", ("method_a", "method_b")),
    Grain("qi.strengthening_after_rupture", ("period_start", "clinic_key", "work"),
          "period_start"),
)  # fmt: skip

CHANGE_LOG = """
create table ops.change_log (
    run_id varchar not null,
    table_name varchar not null,
    change varchar not null,
    month date,
    is_past_month boolean not null,
    n_rows bigint not null
)"""
COMMENTS = {
    "table ops.change_log": "One row a published table, kind of change and month: what "
    "this night changed of what the last published one showed.",
    "column ops.change_log.run_id": "The run that published the change.",
    "column ops.change_log.table_name": "Published table.",
    "column ops.change_log.change": "added, removed or changed, by the row's key.",
    "column ops.change_log.month": "First day of the month that the row is of, by its own "
    "date; null when it has none.",
    "column ops.change_log.is_past_month": "True when that month was over by the as-of "
    "date of the night before: a past month was restated.",
    "column ops.change_log.n_rows": "Rows.",
}


def count_changes(
    con: duckdb.DuckDBPyConnection, run_id: str, before: str | None, after: str
) -> None:
    """Fill ``ops.change_log`` of the current database.

    Args:
        con: a connection with both snapshots attached.
        run_id: the run that publishes.
        before: the attached name of the snapshot that is replaced; None on first night.
        after: the attached name of the new one.
    """
    con.execute(CHANGE_LOG)
    if before is None:
        return
    for grain in GRAINS:
        if _columns(con, before, grain) == _columns(con, after, grain) != []:
            con.execute(_difference(grain, before, after), {"run": run_id})


def _columns(
    con: duckdb.DuckDBPyConnection, database: str, grain: Grain
) -> list[tuple[str, str]]:
    return con.execute(
        "select column_name, data_type from duckdb_columns() where database_name = ?"
        " and schema_name || '.' || table_name = ? order by column_name",
        [database, grain.table],
    ).fetchall()


def _difference(grain: Grain, before: str, after: str) -> str:
    keys = ", ".join(grain.keys)
    month = f"date_trunc('month', {grain.dated_by})" if grain.dated_by else "null"
    same = " and ".join(
        f"old_rows.{key} is not distinct from new_rows.{key}" for key in grain.keys
    )

    def rows(database: str) -> str:
        return (
            f"select {keys}, cast({month} as date) as month, hash(t) as content,"
            f" true as is_there from {database}.{grain.table} as t"
        )

    return f"""
    insert into ops.change_log
    with old_rows as ({rows(before)}),
    new_rows as ({rows(after)}),
    compared as (
        select
            case
                when old_rows.is_there is null then 'added'
                when new_rows.is_there is null then 'removed'
                else 'changed'
            end as change,
            coalesce(new_rows.month, old_rows.month) as month
        from old_rows
        full join new_rows on {same}
        where old_rows.content is distinct from new_rows.content
    ),
    night_before as (
        select as_of from {before}.ops.run where outcome = 'published'
        order by started_at desc limit 1
    )
    select
        $run,
        '{grain.table}',
        compared.change,
        compared.month,
        coalesce(
            compared.month < date_trunc('month', max(night_before.as_of)), false
        ),
        count(*)
    from compared
    cross join night_before
    group by compared.change, compared.month
    order by compared.change, compared.month
    """


BASELINE_CORRECTION = """
create table ops.baseline_correction (
    chart_id varchar not null,
    clinic_key varchar not null,
    segment integer not null,
    corrected_on date not null
)"""
BASELINE_COMMENTS = {
    "table ops.baseline_correction": "One row a chart, clinic, segment and night on which "
    "data behind its frozen limits were corrected.",
    "column ops.baseline_correction.chart_id": "Chart, as in qi.spc_series.",
    "column ops.baseline_correction.clinic_key": "Keyed hash of the clinic, `unknown`, or "
    "`all` for the whole service.",
    "column ops.baseline_correction.segment": "Number of the segment, as in qi.spc_series.",
    "column ops.baseline_correction.corrected_on": "As-of date of the night that "
    "published the correction.",
}


def note_baselines(
    con: duckdb.DuckDBPyConnection, run_id: str, before: str | None, after: str
) -> None:
    """Fill ``ops.baseline_correction``: earlier nights' rows, and what moved tonight.

    A chart's limits are frozen from its first 24 points (quality_improvement.md 3.1), so
    they move only when these points do. A row stays while its segment has frozen limits.

    Args:
        con: a connection with both snapshots attached.
        run_id: the run that publishes.
        before: the attached name of the snapshot that is replaced; None on first night.
        after: the attached name of the new one.
    """
    con.execute(BASELINE_CORRECTION)
    tables = ("qi.spc_series", "qi.spc_point")
    if before is None or not all(_exists(con, before, table) for table in tables):
        return
    con.execute(
        f"""
        insert into ops.baseline_correction
        with old_baselines as ({_baselines(before)}),
        new_baselines as ({_baselines(after)})
        select
            new_baselines.chart_id,
            new_baselines.clinic_key,
            new_baselines.segment,
            (select as_of from {after}.ops.run where run_id = $run)
        from new_baselines
        inner join old_baselines
            on new_baselines.chart_id = old_baselines.chart_id
            and new_baselines.clinic_key = old_baselines.clinic_key
            and new_baselines.segment = old_baselines.segment
            and new_baselines.change_note is not distinct from old_baselines.change_note
        where new_baselines.points is distinct from old_baselines.points
        order by 1, 2, 3
        """,
        {"run": run_id},
    )
    if _exists(con, before, "ops.baseline_correction"):
        con.execute(
            f"""
            insert into ops.baseline_correction
            select earlier.* from {before}.ops.baseline_correction as earlier
            semi join {after}.qi.spc_series as series
                on earlier.chart_id = series.chart_id
                and earlier.clinic_key = series.clinic_key
                and earlier.segment = series.segment
                and series.limits = 'fixed'
            """
        )


def _exists(con: duckdb.DuckDBPyConnection, database: str, table: str) -> bool:
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = ?"
        " and schema_name || '.' || table_name = ?",
        [database, table],
    ).fetchone()
    return found is not None


def _baselines(database: str) -> str:
    """Return SQL: the points that each frozen limit comes from, one row a segment."""
    return f"""
        select
            series.chart_id,
            series.clinic_key,
            series.segment,
            series.change_note,
            list(
                (points.month, round(points.value, 9), points.numerator, points.denominator)
                order by points.month
            ) as points
        from {database}.qi.spc_series as series
        inner join (
            select
                *,
                row_number() over (
                    partition by chart_id, clinic_key, segment order by month
                ) as place
            from {database}.qi.spc_point where used
        ) as points
            on series.chart_id = points.chart_id
            and series.clinic_key = points.clinic_key
            and series.segment = points.segment
        where series.limits = 'fixed' and points.place <= series.baseline_points
        group by all
    """
