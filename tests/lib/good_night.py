"""A good night's two databases, small enough to copy for every planted fault.

They come from the tracked sample. What the sample lacks is added so that it holds: a
client whose sessions carry no form (a change of hers touches nothing else), rows for the
tables of bronze that the sample leaves empty, and contract-shaped stand-ins for marts
that the models do not build yet.
"""

import shutil
from pathlib import Path

import duckdb

from rapport.mapping import TABLES

KEY = "p" * 26
CLIENT, EPISODE, THERAPIST = f"cl_{KEY}", f"ep_{KEY}", f"th_{KEY}"
SESSIONS = [f"se_{'p' * 25}{letter}" for letter in "abcdef"]
LOOSE = SESSIONS[5]


def _probe_session(place: int, key: str) -> str:
    """Four attended sessions a week apart, one missed, one booked in no episode."""
    status = "attended" if place < 4 else "no_show" if place == 4 else "scheduled"
    episode = f"'{EPISODE}'" if place < 5 else "null::varchar"
    number = str(place + 1) if place < 4 else "null::integer"
    return (
        f"insert into core.fct_session select * replace ('{key}' as session_key,"
        f" '{CLIENT}' as client_key, '{THERAPIST}' as therapist_key,"
        f" {episode} as episode_key, {number} as session_number,"
        f" date '2026-05-04' + {7 * place} as session_date, timestamp"
        f" '2026-05-04 15:07:00' + interval {7 * place} day as started_at,"
        f" '{status}' as status) from core.fct_session"
        " where session_number is not null limit 1"
    )


_PROBE = [
    f"insert into core.dim_client select * replace ('{CLIENT}' as client_key,"
    " date '2026-05-04' as first_session_date) from core.dim_client limit 1",
    f"insert into core.dim_therapist select * replace ('{THERAPIST}' as therapist_key)"
    " from core.dim_therapist limit 1",
    f"insert into core.fct_episode select * replace ('{EPISODE}' as episode_key,"
    f" '{CLIENT}' as client_key, '{THERAPIST}' as therapist_key, 'open' as episode_status,"
    " date '2026-05-01' as opened_on, null::date as closed_on,"
    " null::varchar as closure_reason, null::boolean as dropout, 4 as n_attended,"
    " 1 as n_missed) from core.fct_episode limit 1",
    *[_probe_session(place, key) for place, key in enumerate(SESSIONS)],
    f"insert into alliance.rupture_cohort select * replace ('{EPISODE}' as episode_key)"
    " from alliance.rupture_cohort where pattern = 'insufficient' limit 1",
    "delete from ops.data_finding",
]
# The contract's columns, with a few rows that hold, for marts that are not built yet.
_STAND_INS = {
    "alliance.fct_therapist_marker": f"""
        select '{EPISODE}' as episode_key, '{SESSIONS[0]}' as session_key,
            1 as session_number, 1 as frustration, 2 as effort, 1 as helpless,
            0 as self_doubt, 1 as goals_inconsistent, 5 as strain_sum,
            false as is_strained, false as is_persistent, false as in_tandem""",
    "alliance.fct_strengthening": f"""
        select '{EPISODE}' as episode_key, '{SESSIONS[0]}' as session_key,
            1 as session_number, date '2026-05-04' as session_date, true as destigmatize,
            false as compassion, false as co_create, null::varchar as after_rupture,
            null::boolean as repaired_after
        union all
        (select session.episode_key, session.session_key, session.session_number,
            session.session_date, false, true, false, rupture.rupture_key, true
        from alliance.fct_rupture as rupture
        inner join core.fct_session as session
            on rupture.episode_key = session.episode_key
            and rupture.onset_session_number = session.session_number
        where rupture.status = 'resolved'
        order by rupture.rupture_key limit 1)""",
    "alliance.fct_congruence": """
        select episode_key, instrument, 'total' as component, count(*)::integer as n_pairs,
            avg(gap_total) as mean_gap, avg(abs(gap_total)) as abs_gap,
            0.5::double as correlation, 'aligned' as direction,
            null::boolean as goal_mismatch
        from alliance.fct_alliance_session
        where gap_total is not null
        group by 1, 2""",
    "alliance.fct_goal_overlap": f"""
        select '{EPISODE}' as episode_key, 2 as n_client_goals, 2 as n_therapist_goals,
            1 as n_shared, 1 / 3e0 as overlap, 0.5::double as overlap_first,
            1 as n_therapist_revisions, true as is_inconsistent""",
    "outcomes.fct_episode_outcome": """
        select episode_key, instrument, min(score) as first_score, min(score) as last_score,
            null::double as change, null::varchar as reliable_change,
            'insufficient' as clinical_class, 1 as n_scores, 3.5::double as early_alliance,
            3 as early_alliance_session, 'moderate' as early_alliance_band
        from core.fct_measure_score
        where subscale = 'total' and is_valid and rater = 'client'
            and instrument in ('PCL-5', 'PHQ-9') and episode_key is not null
        group by 1, 2""",
    "outcomes.fct_stall": f"""
        select '{EPISODE}' as episode_key, 'PCL-5' as instrument,
            2 as stall_session_number, date '2026-05-11' as stall_date, 'open' as status,
            'bond' as weak_component, null::boolean as alliance_reviewed,
            null::integer as resumed_session_number""",
    "outcomes.fct_care_signal": f"""
        select 'sg_' || letter as signal_key, signal, null::varchar as instrument,
            '{EPISODE}' as episode_key, '{CLIENT}' as client_key,
            '{THERAPIST}' as therapist_key, null::varchar as clinic_key,
            date '2026-05-18' as opened_on,
            timestamp '2026-05-19 00:00:00' as first_detected_at, closed_on,
            closed_reason, status, '{{"session": 3}}' as evidence
        from (values
            ('a', 'disengagement', null::date, null::varchar, 'open'),
            ('b', 'therapist_strain', date '2026-05-25', 'settled', 'closed')
        ) as rows (letter, signal, closed_on, closed_reason, status)""",
}
_OF = "'AAAAAAAAAAAAAAAA' as client_id, 'BBBBBBBBBBBBBBBB' as episode_id"
_PACKAGE = {
    "clients": "select 'AAAAAAAAAAAAAAAA' as client_id, '30-39' as age_band",
    "episodes": f"select {_OF}, 1 as episode_no, 'completed' as closure_reason",
    "sessions": f"select {_OF}, 1 as session_number, 0 as week_index",
    "alliance": f"select {_OF}, 1 as session_number, 0 as week_index",
    "ruptures": f"select {_OF}, 'default_rc3' as method, 1.2::double as drop_ratio",
    "outcomes": f"select {_OF}, 'PCL-5' as instrument",
}


def lay_good_night(home: Path, folder: Path) -> dict[str, Path]:
    """Copy a home's databases, whole for the candidate and slim for the work file."""
    work, candidate = folder / "work.duckdb", folder / "candidate.duckdb"
    shutil.copy(home / "warehouse" / "candidate.duckdb", candidate)
    with duckdb.connect(candidate) as con:
        for sql in _PROBE:
            con.execute(sql)
        built = {
            name
            for (name,) in con.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
            ).fetchall()
        }
        for name, sql in _STAND_INS.items():
            if name not in built:
                con.execute(f"create table {name} as {sql}")
        con.execute("checkpoint")
    with duckdb.connect(work) as con:
        con.execute(f"attach '{home / 'warehouse' / 'work.duckdb'}' as old (read_only)")
        for schema in ("bronze", "seed", "gate", "control"):
            con.execute(f"create schema {schema}")
        for table in TABLES:
            _copy_bronze(con, table.name)
        for name in ("seed.code_list", "gate.bronze_file"):
            con.execute(f"create table {name} as from old.{name}")
        # What is judged of a history has nights of its own (history_faults.py).
        con.execute("create table gate.judged as from old.gate.judged limit 0")
        con.execute("detach old")
        con.execute("checkpoint")
    extract = folder / "extract.duckdb"
    with duckdb.connect(extract) as con:
        con.execute("create schema data")
        for name, sql in _PACKAGE.items():
            con.execute(f"create table data.{name} as {sql}")
    return {"work": work, "candidate": candidate, "extract": extract}


def _copy_bronze(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Copy a bronze table; one that is empty gets a row, so that it can be broken."""
    con.execute(f"create table bronze.{table} as from old.bronze.{table}")
    (n,) = con.execute(f"select count(*) from bronze.{table}").fetchone()
    if n == 0 and table == "client_links":
        con.execute(
            "insert into bronze.client_links (client_key, other_source, other_client_key,"
            f" linked_on, source, batch_id) values ('{CLIENT}', 'north', '{CLIENT}',"
            " date '2026-05-04', 'canonical', 'b_aaaaaaaaaaaa')"
        )
