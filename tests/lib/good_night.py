"""A good night's two databases, small enough to copy for every planted fault.

They come from the tracked sample. What the sample lacks is added so that it holds: a
client whose sessions carry no form (a change of hers touches nothing else), and a row for
each table of bronze that the sample leaves empty.
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
        " where session_number is not null and modality = 'individual' limit 1"
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
    f"insert into alliance.rupture_cohort select distinct on (method) * replace ("
    f"'{EPISODE}' as episode_key, 'insufficient' as pattern, 0 as n_ruptures,"
    " 0 as n_repaired, null::integer as first_rupture_session,"
    " null::varchar as lead_component) from alliance.rupture_cohort",
    "delete from ops.data_finding",
]
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
            "insert into bronze.client_links (client_key, other_client_key,"
            f" linked_on, source, batch_id) values ('{CLIENT}', '{CLIENT}',"
            " date '2026-05-04', 'canonical', 'b_aaaaaaaaaaaa')"
        )
