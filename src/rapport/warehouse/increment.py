"""What a night builds on, and whose rows it computes anew (ADR 0007).

A night may start from the last published snapshot and compute only the clients that
something happened to: a row of theirs arrived, they were merged or linked with such a
client, or a date passed that a rule asks about. Where it cannot be sure, it builds all.
What it needs to know of the night that it builds on lies in the kept database, beside
what no reader sees; it takes the place of the earlier one when the snapshot does, and a
kept database that is not of the published run is never built on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

import duckdb

from rapport.mapping.source import zone_of_source
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import (
    attach,
    kept_path,
    kept_tonight_path,
    open_database,
    published_path,
)
from rapport.warehouse.integrity import is_kept_sound

Order = Sequence[tuple[str, str, int, datetime]]

# The id of a row of each table that names its client; part of the versions' key.
PERSON_TABLES = {
    "clients": ("client_key",),
    "episodes": ("episode_key",),
    "sessions": ("session_key",),
    "measures": ("administration_key",),
    "goals": ("goal_key", "rater", "recorded_at_wall", "recorded_at_offset_minutes"),
    "diagnoses": ("client_key", "code", "system", "recorded_on"),
}
PAIR_TABLES = {
    "client_merges": ("old_client_key", "new_client_key"),
    "client_links": ("client_key", "other_client_key"),
}
# What the monthly tables are counted from, and whose a row is.
COUNTED_BY_MONTH = {
    "base.core.fct_session": "client",
    "base.core.fct_episode": "client",
    "base.alliance.fct_rupture": "client",
    "base.alliance.fct_alliance_session": "episode",
    "base.alliance.rupture_cohort": "episode",
    "base.outcomes.fct_episode_outcome": "episode",
    "base_kept.form.int_qi__form_due": "client",
}
MONTHLY = [
    "alliance_monthly",
    "completion_monthly",
    "endings",
    "outcome_monthly",
    "rupture_repair_monthly",
]
# Beyond this share of clients touched, an increment costs more than a build of all.
MOST_TOUCHED = 0.5


@dataclass(frozen=True)
class Base:
    """What an increment starts from: the published night's as-of date and deliveries."""

    as_of: date
    batches: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """How tonight is built: on a base, or all anew, and why: a code, for logs and results."""

    base: Base | None
    why_full: str = ""


def plan_build(
    settings: Settings,
    state: ControlState,
    order: Order,
    as_of: date,
    known_on: date | None,
    full_refresh: bool,
) -> Plan:
    """Say whether tonight may build on the published night."""
    if full_refresh:
        return Plan(None, "asked_for")
    if known_on is not None:
        return Plan(None, "past_night")
    if not kept_path(settings).exists() or not published_path(settings).exists():
        return Plan(None, "no_night_to_build_on")
    damaged = state.built_files().get(("kept", published_run(settings) or ""))
    if damaged is not None and not is_kept_sound(settings, damaged):
        return Plan(None, "kept_database_damaged")
    with open_database(kept_path(settings), read_only=True) as con:
        found = con.execute("select run_id, as_of, digest from state.build").fetchone()
        files = dict(con.execute("select path, mark from state.bronze_file").fetchall())
        batches = [row[0] for row in con.execute(
            "select batch_id from state.delivery order by position").fetchall()]  # fmt: skip
    if found is None:
        return Plan(None, "no_night_to_build_on")
    run_id, as_of_before, digest = found
    now = [batch for batch, *_ in order]
    still = [batch for batch in now if batch in set(batches)]
    marks = _bronze_marks(settings, state)
    logged = [date.fromisoformat(str(row[1])) for row in state.signal_log()]
    refusals = {
        "night_before_not_published": run_id != published_run(settings),
        "settings_or_models_changed": digest
        != build_digest(settings, order),
        "as_of_moved_back": as_of < as_of_before,
        "later_night_in_signal_log": any(day > as_of_before for day in logged),
        "bronze_rewritten": any(marks.get(path) != mark for path, mark in files.items()),
        "deliveries_taken_back": still != batches,
    }  # fmt: skip
    for why, holds in refusals.items():
        if holds:
            return Plan(None, why)
    return Plan(Base(as_of_before, frozenset(batches)))


def published_run(settings: Settings) -> str | None:
    """Return the run that the published snapshot is of; None where there is no snapshot."""
    if not published_path(settings).exists():
        return None
    with open_database(published_path(settings), read_only=True) as con:
        row = con.execute(
            "select run_id from ops.run where outcome = 'published'"
            " order by started_at desc, run_id desc limit 1"
        ).fetchone()
    return row[0] if row else None


def build_digest(settings: Settings, order: Order) -> str:
    """Return a SHA-256 over what else than bronze and the date decides a number."""
    sources = {source for _, source, _, _ in order} | set(settings.source)
    zones = [(name, zone_of_source(settings, name)) for name in sorted(sources)]
    parts = [
        settings.digest(),
        repr(zones),
        duckdb.__version__,
        digest_of_folder(settings.project_root / "dbt_project"),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def digest_of_folder(folder: Path) -> str:
    """Return a SHA-256 over the models, suites and lists below a folder of the project."""
    said = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".sql", ".yml", ".csv", ".json"):
            said.update(str(path.relative_to(folder)).encode() + b"\0")
            said.update(hashlib.sha256(path.read_bytes()).digest())
    return said.hexdigest()


def _bronze_marks(settings: Settings, state: ControlState) -> dict[str, str]:
    """Return what a rewritten file of bronze would change, by path below bronze/."""
    marks = {}
    for files in state.bronze_files().values():
        for _, path in files:
            said = os.stat(settings.home / "bronze" / path)
            marks[path] = f"{said.st_size}:{said.st_mtime_ns}"
    return marks


# --- the kept database --------------------------------------------------------------


def prepare_kept(settings: Settings, base: Base | None) -> None:
    """Lay tonight's kept database: a copy of the last one, or none (dbt makes it)."""
    tonight = kept_tonight_path(settings)
    for left in (tonight, tonight.with_name(tonight.name + ".wal")):
        left.unlink(missing_ok=True)
    if base is not None:
        shutil.copyfile(kept_path(settings), tonight)


def seal_kept(
    settings: Settings,
    state: ControlState,
    order: Order,
    run_id: str,
    as_of: date,
    known_on: date | None,
) -> None:
    """Write what the next night must know of this one; a past night is never built on."""
    digest = "" if known_on else build_digest(settings, order)
    with open_database(
        kept_tonight_path(settings), encrypted=settings.security.encrypt_at_rest
    ) as con:
        con.execute("create schema if not exists state")
        con.execute(
            "create or replace table state.build as"
            " select ?::varchar as run_id, ?::date as as_of, ?::varchar as digest",
            [run_id, as_of, digest],
        )
        marks = _bronze_marks(settings, state)
        con.execute(
            "create or replace table state.bronze_file as"
            " select unnest(?::varchar[]) as path, unnest(?::varchar[]) as mark",
            [list(marks), list(marks.values())],
        )
        con.execute(
            "create or replace table state.delivery as select"
            " unnest(?::varchar[]) as batch_id, unnest(?::integer[]) as position",
            [[batch for batch, *_ in order], list(range(len(order)))],
        )


def keep(settings: Settings, run_id: str) -> bool:
    """Let tonight's kept database take the place of the last one: its run is published.

    Returns whether it did.
    """
    tonight = kept_tonight_path(settings)
    if not tonight.exists():
        return False
    with open_database(tonight, read_only=True) as con:
        found = con.execute("select run_id from state.build").fetchone()
    if found != (run_id,):
        return False
    os.replace(tonight, kept_path(settings))
    return True


# --- whose rows are computed anew ---------------------------------------------------


def lay_touched(
    con: duckdb.DuckDBPyConnection,
    snapshot: Path,
    base: Base,
    as_of: date,
    waits: Mapping[str, int],
) -> int:
    """Lay ``control.touched_*`` in the working database; return how many are touched.

    Args:
        con: the working database, with ``control``, ``bronze`` and ``arrived``, the rows of
            bronze that are new since the base.
        snapshot: the published night.
        base: what is known of it.
        as_of: tonight's date.
        waits: whole days after a last attended session on which a rule asks again.
    """
    attach(con, snapshot, "base", read_only=True)
    try:
        con.execute("create temp table touched (client_key varchar)")
        con.execute(
            "create temp table passed as select ?::date as after_day, ?::date as as_of",
            [base.as_of, as_of],
        )
        _lay_moved_zones(con, base)
        seeds = [*_arrived(), *_vanished(con, base), *_ZONED]
        if as_of > base.as_of:
            seeds += _dates_passed(waits)
        for sql in seeds:
            _touch(con, sql)
        known = -1
        bound = bonds("one in (select client_key from touched)")
        while (n_touched := count_rows(con, "touched")) > known:
            known = n_touched
            for sql in bound:
                _touch(con, f"select other as client_key from ({sql}) as pairs")
        _lay(con)
        return n_touched
    finally:
        con.execute("detach base")


def _touch(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    con.execute(
        f"insert into touched select client_key from ({sql}) as found"
        " where client_key is not null except select client_key from touched"
    )


def count_rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return how many rows a table has."""
    row = con.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def _arrived() -> list[str]:
    """Return the queries for clients of rows that arrived, or share an id with one."""
    queries = [f"select client_key from arrived.{table}" for table in PERSON_TABLES]
    # A correction may bring an id to another client, and a tombstone may name none.
    queries += [
        f"select delivered.client_key from bronze.{table} as delivered"
        f" semi join arrived.{table} as news using ({keys[0]})"
        for table, keys in PERSON_TABLES.items()
    ]
    queries += [
        "select delivered.client_key from bronze.measures as delivered"
        " semi join arrived.measure_items as news using (administration_key)",
        # What a form says of the session that it names is counted.
        "select forms.client_key from bronze.measures as forms"
        " semi join arrived.sessions as news using (session_key)",
    ]
    for table, (first, second) in PAIR_TABLES.items():
        queries += [
            f"select {key} as client_key from bronze.{table}"
            f" where {first} in (select {first} from arrived.{table})"
            for key in (first, second)
        ]
    return queries


def _vanished(con: duckdb.DuckDBPyConnection, base: Base) -> list[str]:
    """Return the queries for clients of rows that a new snapshot no longer holds."""
    snapshots = con.execute(
        "select batch_id, source, table_name from control.delivery_table"
        " where mode = 'snapshot' order by all"
    ).fetchall()
    queries = []
    for batch, source, table in snapshots:
        if batch in base.batches:
            continue
        gone = (
            f"(select * from bronze.{table} where source = '{source}') as known"
            f" anti join (select * from arrived.{table} where batch_id = '{batch}') as now"
        )
        if table in PERSON_TABLES:
            same = " and ".join(
                f"known.{key} is not distinct from now.{key}"
                for key in PERSON_TABLES[table]
            )
            queries.append(f"select known.client_key from {gone} on {same}")
        elif table in PAIR_TABLES:
            first = PAIR_TABLES[table][0]
            queries += [
                f"select known.{key} as client_key from {gone}"
                f" on known.{first} = now.{first}"
                for key in PAIR_TABLES[table]
            ]
        elif table == "measure_items":
            con.execute(
                "insert into vanished_form select known.administration_key"
                f" from {gone} using (administration_key)"
            )
            queries.append(
                "select forms.client_key from bronze.measures as forms"
                " semi join vanished_form using (administration_key)"
            )
    return queries


def _lay_moved_zones(con: duckdb.DuckDBPyConnection, base: Base) -> None:
    """Lay the clinics and therapists by whom a time may be read in another zone now.

    One that is new, one whose rows do not all say the same, and one that a new snapshot
    lacks: a superset, since a zone that came back to what it was is no change.
    """
    con.execute("create temp table vanished_form (administration_key varchar)")
    for table, key, said in [
        ("clinics", "clinic_key", "timezone"),
        ("therapists", "therapist_key", "clinic_key"),
    ]:
        con.execute(
            f"""
            create temp table moved_{table} as
            select news.{key}
            from (select distinct {key} from arrived.{table}) as news
            inner join bronze.{table} as known on news.{key} = known.{key}
            group by news.{key}
            having
                count(distinct coalesce(known.{said}, '')) > 1
                or bool_and(known.batch_id in (select distinct batch_id from arrived.{table}))
            """
        )
    snapshots = con.execute(
        "select batch_id, source, table_name from control.delivery_table"
        " where mode = 'snapshot' and table_name in ('clinics', 'therapists')"
    ).fetchall()
    for batch, source, table in snapshots:
        if batch not in base.batches:
            key = "clinic_key" if table == "clinics" else "therapist_key"
            con.execute(
                f"insert into moved_{table} select distinct {key} from bronze.{table}"
                f" where source = '{source}' and {key} not in"
                f" (select {key} from arrived.{table} where batch_id = '{batch}')"
            )
    con.execute(
        "insert into moved_therapists select distinct therapist_key from bronze.therapists"
        " where clinic_key in (select clinic_key from moved_clinics)"
    )


_ZONED = (
    "select client_key from bronze.sessions"
    " where clinic_key in (select clinic_key from moved_clinics)",
    "select client_key from bronze.measures"
    " where therapist_key in (select therapist_key from moved_therapists)",
)


def _dates_passed(waits: Mapping[str, int]) -> list[str]:
    """Return the queries for clients for whom a date passed since the base.

    A row that was dated after the base's as-of date and is not any more; a closing date; a
    last attended session on which a rule asks again some days later.
    """

    def passed(day: str) -> str:
        return f"({day} > passed.after_day and {day} <= passed.as_of)"

    queries = [
        f"select client_key from bronze.episodes, passed"
        f" where {passed('opened_on')} or {passed('closed_on')}",
        f"select client_key from bronze.diagnoses, passed where {passed('recorded_on')}",
        *(
            f"select {key} as client_key from bronze.{table}, passed where {passed(day)}"
            for table, day in [("client_merges", "merged_on"), ("client_links", "linked_on")]
            for key in PAIR_TABLES[table]
        ),
    ]  # fmt: skip
    # The local date of a time with an offset hangs on a zone: the earliest and the latest
    # that any zone makes of it. One without moves by its own zone's clock change at most.
    for table, name in [
        ("sessions", "started_at"),
        ("measures", "administered_at"),
        ("goals", "recorded_at"),
    ]:
        utc = f"({name}_wall - to_minutes(coalesce({name}_offset_minutes, 0)))"
        early = f"({utc} - interval 12 hour)::date"
        late = f"({utc} + interval 14 hour)::date"
        queries.append(
            f"select client_key from bronze.{table}, passed"
            f" where case when {name}_is_date or {name}_offset_minutes is null"
            f" then {name}_wall::date <= passed.as_of"
            f" and ({name}_wall + interval 3 hour)::date > passed.after_day"
            f" else {early} <= passed.as_of and {late} > passed.after_day end"
        )
    asked = " or ".join(
        passed(f"(last_attended_on + {days})") for days in sorted(set(waits.values()))
    )
    queries.append(
        "select client_key from (select client_key, max(session_date) as last_attended_on"
        " from base.core.fct_session where session_number is not null"
        f" group by client_key, episode_key) as attended, passed where {asked}"
    )
    return queries


def bonds(among: str = "true") -> list[str]:
    """Return the queries for pairs of clients whose numbers hang on each other.

    Merged or linked, an id that was both's, a form of the one that names a session of the
    other. Each pair (``one``, ``other``) is found both ways round; a client may be paired
    with herself, and with nobody (null).

    Args:
        among: a condition on ``one``, which is asked before anything is joined.
    """
    pairs = [
        f"select {one} as one, {other} as other from bronze.{table}"
        for table, keys in PAIR_TABLES.items()
        for one, other in (keys, keys[::-1])
    ]
    queries = [
        f"select one, other from ({pair}) as pairs where {among}" for pair in pairs
    ]
    shared = [
        (table, table, keys[0])
        for table, keys in PERSON_TABLES.items()
        if keys[0] != "client_key"
    ]
    for mine, theirs, key in [
        *shared,
        ("measures", "sessions", "session_key"),
        ("sessions", "measures", "session_key"),
    ]:
        queries.append(
            "select mine.one, theirs.client_key as other from ("
            f"select {key} as id, client_key as one from bronze.{mine} where {among}"
            f") as mine inner join bronze.{theirs} as theirs on mine.id = theirs.{key}"
        )
    return queries


def _lay(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create table control.touched_client as select client_key from touched")
    con.execute(
        "create table control.touched_administration as"
        " select administration_key from bronze.measures"
        " where client_key in (select client_key from touched)"
        " union select administration_key from arrived.measures"
        " union select administration_key from arrived.measure_items"
        " union select administration_key from vanished_form"
    )
    con.execute(
        "create table control.touched_episode as select episode_key"
        " from base.core.fct_episode"
        " where client_key in (select client_key from touched)"
    )


def lay_before(
    con: duckdb.DuckDBPyConnection, snapshot: Path, kept: Path, as_of: date
) -> None:
    """Lay ``control.before_*``: what the last night counted by month (ADR 0070).

    Of the tables that months are counted from, the rows of touched clients; what tells
    whether months, clinics, instruments or methods came or went.

    Args:
        con: the working database, with ``control.touched_*``.
        snapshot: the published night.
        kept: its kept database.
        as_of: its as-of date.
    """
    attach(con, snapshot, "base", read_only=True)
    attach(con, kept, "base_kept", read_only=True)
    try:
        for table, of in COUNTED_BY_MONTH.items():
            con.execute(
                f"create table control.before_{table.split('.')[-1]} as"
                f" select * from {table} where {of}_key in"
                f" (select {of}_key from control.touched_{of})"
            )
        con.execute(
            "create table control.before_run as select ?::date as as_of", [as_of]
        )
        con.execute(
            "create table control.before_month as"
            " select distinct month, is_partial from base.qi.completion_monthly"
        )
        con.execute(
            "create table control.before_group as"
            " select mart, clinic_key as name from base.qi.completion_monthly"
            " cross join unnest(?) as monthly (mart)"
            " union select 'alliance_monthly', instrument from base.qi.alliance_monthly"
            " union select 'outcome_monthly', instrument from base.qi.outcome_monthly"
            " union select 'rupture_repair_monthly', method || ' ' || instrument"
            " from base.qi.rupture_repair_monthly",
            [MONTHLY],
        )
    finally:
        con.execute("detach base")
        con.execute("detach base_kept")


def count_clients(snapshot: Path) -> int:
    """Return how many clients a published night has."""
    with open_database(snapshot, read_only=True) as con:
        return count_rows(con, "core.dim_client")
