"""What closed months hold for releases: who is in them, and the values as they stood (C1).

A month closes 45 days after its end; the first request that reaches it freezes it in
``vault/cohorts``. Who is in it, what a person is and how often they came that month freeze
then. The course of an episode (its sessions, scores, ruptures, outcome, ending) freezes
once the month in which it ended has closed; until then it grows with the snapshot. A later
correction enters only when the months are restated.

``YYYY-MM.parquet`` lists uids and content hashes; ``part-NNNN`` holds the rows of one
freezing, hung on uids alone, so that neither a rotation nor a restored key touches them.
Each table of it has a ``uid``, by which an erasure takes a person out.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb

from rapport.extracts.columns import SCORES
from rapport.extracts.request import CLOSES_AFTER_DAYS
from rapport.files import private_folder, sync
from rapport.privacy.at_rest import is_asked_for
from rapport.warehouse.connections import parquet_encryption, parquet_union, quoted

# The tables of a part; all but the first two hang on an episode whose course is frozen.
TABLES = (
    "member",
    "attended",
    "course",
    "session",
    "alliance",
    "rupture",
    "pattern",
    "outcome",
)
_COURSE = TABLES[2:]
_MONTHS = "months.json"


def cohorts_folder(home: Path) -> Path:
    """Return where the frozen months lie."""
    return home / "vault" / "cohorts"


def last_closed(day: date) -> date:
    """Return the last day of the last month that is closed on a day."""
    first = (day - timedelta(days=CLOSES_AFTER_DAYS) + timedelta(days=1)).replace(day=1)
    return first - timedelta(days=1)


def lay_frozen_months(
    con: duckdb.DuckDBPyConnection, home: Path, first: date, last: date, closed: date
) -> int:
    """Freeze what is closed and not frozen yet, and lay what the period holds in ``held``.

    Args:
        con: the connection with ``pub`` and the subjects laid.
        home: where the vault lies.
        first: the first day of the period.
        last: its last day.
        closed: the last day of the last closed month: courses that ended by then freeze.

    Returns:
        how many frozen episodes say something else in today's snapshot.
    """
    _lay_live(con)
    folder = cohorts_folder(home)
    encryption = parquet_encryption(is_asked_for(home))
    private_folder(folder)
    _lay_parts(con, folder)
    missing = sorted({*_months(first, last)} - {*_frozen(folder)})
    if _lay_new(con, missing, first, last, closed):
        _write_part(con, folder, missing, encryption)
        _lay_parts(con, folder)
    _write_lists(con, folder, encryption)
    _lay_held(con, first, last)
    row = con.execute(
        "select count(*) from frozen.course as frozen"
        " inner join started using (episode_uid)"
        " where frozen.content_hash <> started.content_hash"
    ).fetchone()
    assert row is not None
    return int(row[0])


def restate(home: Path) -> int:
    """Forget what was frozen, so that the next request freezes today's values.

    Returns:
        how many months were forgotten.
    """
    folder = cohorts_folder(home)
    n = len(_frozen(folder))
    shutil.rmtree(folder, ignore_errors=True)
    return n


def _lay_live(con: duckdb.DuckDBPyConnection) -> None:
    """Lay the snapshot's rows under uids, as ``live``: one view a table of a part."""
    con.execute("create schema if not exists live")
    con.execute(
        """
        create or replace table started as
        with firsts as (
            select
                episode_key,
                min(case when session_number is not null then session_date end)
                    as first_on,
                string_agg(session_date || status, ',' order by session_date, session_key)
                    as said
            from pub.core.fct_session
            where episode_key is not null
            group by episode_key
        ),
        scores as (
            select
                episode_key,
                string_agg(
                    concat_ws('/', instrument, client_total, therapist_total),
                    ',' order by instrument, session_date, session_key
                ) as said
            from pub.alliance.fct_alliance_session
            group by episode_key
        ),
        outcomes as (
            select
                episode_key,
                string_agg(
                    concat_ws('/', instrument, first_score, last_score),
                    ',' order by instrument
                ) as said
            from pub.outcomes.fct_episode_outcome
            group by episode_key
        ),
        instruments as (
            select episode_key, list(distinct instrument order by instrument) as held
            from pub.core.fct_measure_score
            where is_valid
            group by episode_key
        )
        select
            clients.uid,
            subjects.uid as episode_uid,
            episodes.*,
            firsts.first_on,
            date_trunc('month', firsts.first_on)::date as month,
            clinics.uid as clinic_uid,
            therapists.uid as therapist_uid,
            coalesce(instruments.held, []) as instruments,
            sha256(concat_ws('#', firsts.said, scores.said, outcomes.said,
                episodes.closed_on, episodes.closure_reason, episodes.dropout))
                as content_hash
        from pub.core.fct_episode as episodes
        inner join firsts on episodes.episode_key = firsts.episode_key
        left join scores on episodes.episode_key = scores.episode_key
        left join outcomes on episodes.episode_key = outcomes.episode_key
        left join instruments on episodes.episode_key = instruments.episode_key
        inner join client_subject as clients
            on episodes.client_key = clients.client_key
        inner join episode_subject as subjects
            on episodes.episode_key = subjects.episode_key
        left join clinic_subject as clinics on episodes.clinic_key = clinics.clinic_key
        left join therapist_subject as therapists
            on episodes.therapist_key = therapists.therapist_key
        where firsts.first_on is not null
        """
    )
    scores = ", ".join(f"said.{score}" for score in SCORES)
    views = {
        "member": """
            select
                started.uid, started.episode_uid, started.content_hash, started.month,
                started.first_on, coalesce(started.is_part2, false) as is_part2,
                clients.birth_year, clients.sex, clients.race_group, clients.state,
                clients.zip3, diagnoses.system as dx_system, diagnoses.code as dx_code
            from started
            inner join pub.core.dim_client as clients
                on started.client_key = clients.client_key
            left join (
                select episode_key, min(system) as system, min(code) as code
                from pub.core.fct_diagnosis where is_primary group by episode_key
            ) as diagnoses on started.episode_key = diagnoses.episode_key
        """,
        "attended": """
            select
                clients.uid,
                date_trunc('month', sessions.session_date)::date as month,
                count(*) filter (where not coalesce(episodes.is_part2, false)) as n,
                count(*) filter (where coalesce(episodes.is_part2, false)) as n_part2
            from pub.core.fct_session as sessions
            inner join client_subject as clients
                on sessions.client_key = clients.client_key
            left join pub.core.fct_episode as episodes
                on sessions.episode_key = episodes.episode_key
            where sessions.status = 'attended'
            group by 1, 2
        """,
        "course": """
            select
                uid, episode_uid, content_hash, opened_on, closed_on, closure_reason,
                dropout, treatment_approach, trauma_focused, n_attended, clinic_uid,
                therapist_uid, instruments
            from started
        """,
        "session": """
            select
                started.uid, started.episode_uid, said.session_number, said.session_date,
                said.status, said.modality, said.delivery_mode, said.duration_minutes,
                row_number() over (
                    partition by said.episode_key
                    order by said.session_date, said.session_key
                ) as place
            from pub.core.fct_session as said
            inner join started on said.episode_key = started.episode_key
        """,
        "alliance": f"""
            select
                started.uid, started.episode_uid, said.session_number, said.session_date,
                said.instrument, {scores}, said.band,
                row_number() over (
                    partition by said.episode_key
                    order by said.session_date, said.session_key, said.instrument
                ) as place
            from pub.alliance.fct_alliance_session as said
            inner join started on said.episode_key = started.episode_key
        """,
        "rupture": """
            select
                started.uid, started.episode_uid, said.method, said.instrument,
                said.onset_session_number, said.onset_date, said.strength,
                said.lead_component, said.shape, said.status, said.sessions_to_repair,
                said.drop_ratio,
                row_number() over (
                    partition by said.episode_key
                    order by said.onset_date, said.method, said.rupture_key
                ) as place
            from pub.alliance.fct_rupture as said
            inner join started on said.episode_key = started.episode_key
        """,
        "pattern": """
            select started.uid, started.episode_uid, said.method, said.pattern
            from pub.alliance.rupture_cohort as said
            inner join started on said.episode_key = started.episode_key
        """,
        "outcome": """
            select
                started.uid, started.episode_uid, said.instrument, said.first_score,
                said.last_score, said.change, said.reliable_change, said.clinical_class,
                said.early_alliance_band
            from pub.outcomes.fct_episode_outcome as said
            inner join started on said.episode_key = started.episode_key
        """,
    }
    for name, sql in views.items():
        con.execute(f"create or replace view live.{name} as {sql}")


def _frozen(folder: Path) -> list[date]:
    """List the frozen months, by their first day."""
    found: list[date] = []
    for path in _parts(folder):
        said = json.loads((path / _MONTHS).read_text("utf-8"))
        found += [date.fromisoformat(month) for month in said]
    return found


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("part-*") if path.suffix != ".building")


def _lay_parts(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Lay views over what is frozen, as ``frozen``; empty tables before the first part."""
    con.execute("create schema if not exists frozen")
    parts = _parts(folder)
    for name in TABLES:
        source = f"(select * from live.{name} limit 0)"
        if parts:
            source = parquet_union(con, [path / f"{name}.parquet" for path in parts])
        con.execute(f"create or replace view frozen.{name} as select * from {source}")


def _lay_new(
    con: duckdb.DuckDBPyConnection,
    months: Sequence[date],
    first: date,
    last: date,
    closed: date,
) -> bool:
    """Lay who enters now and whose course freezes now; tell whether there is any."""
    con.execute(
        "create or replace table entering as select uid, episode_uid, month from started"
        " where month in (select unnest(?::date[]))"
        " and episode_uid not in (select episode_uid from frozen.member)",
        [list(months)],
    )
    con.execute(
        """
        create or replace table settled as
        select started.episode_uid
        from started
        inner join (
            select episode_uid, month from frozen.member
            union all
            select episode_uid, month from entering
        ) as members on started.episode_uid = members.episode_uid
        where
            started.closed_on <= ?
            and members.month between ? and ?
            and started.episode_uid not in (select episode_uid from frozen.course)
        """,
        [closed, first, last],
    )
    row = con.execute("select count(*) from settled").fetchone()
    return bool(months) or bool(row and row[0])


def _write_part(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    months: Sequence[date],
    encryption: str,
) -> None:
    """Write one part whole, then rename it: a kill leaves it or not."""
    part = folder / f"part-{len(_parts(folder)) + 1:04d}"
    building = part.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    con.execute("create or replace table freezing as select unnest(?::date[]) as month",
                [list(months)])  # fmt: skip
    for name in TABLES:
        chosen = (
            "month in (select month from freezing)" if name == "attended"
            else "episode_uid in (select episode_uid from entering)" if name == "member"
            else "episode_uid in (select episode_uid from settled)"
        )  # fmt: skip
        path = building / f"{name}.parquet"
        con.execute(
            f"copy (select * from live.{name} where {chosen} order by all)"
            f" to '{quoted(path)}' (format parquet, compression zstd{encryption})"
        )
        path.chmod(0o600)
    said = json.dumps([month.isoformat() for month in months]) + "\n"
    (building / _MONTHS).write_text(said, "utf-8")
    (building / _MONTHS).chmod(0o600)
    for path in [*building.iterdir(), building]:
        sync(path)
    os.rename(building, part)


def _write_lists(con: duckdb.DuckDBPyConnection, folder: Path, encryption: str) -> None:
    """List each month's uids and hashes; written anew where a part changed them."""
    con.execute(
        "create or replace table listed as select members.month, members.uid,"
        " members.episode_uid,"
        " coalesce(courses.content_hash, members.content_hash) as content_hash"
        " from frozen.member as members"
        " left join frozen.course as courses using (episode_uid)"
    )
    newest = max((path.stat().st_mtime_ns for path in _parts(folder)), default=0)
    for month in _frozen(folder):
        file = folder / f"{month:%Y-%m}.parquet"
        if file.exists() and file.stat().st_mtime_ns > newest:
            continue
        building = file.with_suffix(".building")
        con.execute(
            "copy (select uid, episode_uid, content_hash from listed"
            f" where month = date '{month}' order by 1, 2)"
            f" to '{quoted(building)}' (format parquet, compression zstd{encryption})"
        )
        building.chmod(0o600)
        os.replace(building, file)


def _lay_held(con: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
    """Lay the period's rows: frozen where the course is frozen, else the snapshot's."""
    con.execute("create schema if not exists held")
    con.execute(
        "create or replace table held.member as select * from frozen.member"
        " where month between ? and ?",
        [first, last],
    )
    con.execute(
        "create or replace table held.attended as select * from frozen.attended"
        " where month between ? and ?",
        [first, last],
    )
    for name in _COURSE:
        con.execute(
            f"""
            create or replace table held.{name} as
            select * from frozen.{name}
            where episode_uid in (select episode_uid from held.member)
            union all by name
            select * from live.{name}
            where
                episode_uid in (select episode_uid from held.member)
                and episode_uid not in (select episode_uid from frozen.course)
            """
        )


def _months(first: date, last: date) -> list[date]:
    found, month = [], first.replace(day=1)
    while month <= last:
        found.append(month)
        month = (month + timedelta(days=32)).replace(day=1)
    return found
