"""From the published snapshot to the rows of a package: SQL over facts that exist.

``pub`` is the snapshot. ``base`` holds the cohort's rows with working numbers (``p`` the
person, ``e`` the episode) that never leave; ``data`` holds what would leave, at a rung.
No clinical rule is computed here: they stand in the marts (style, 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rapport.extracts.columns import (
    MAX_SESSION,
    OTHER_UNITS,
    TABLES,
    Column,
    is_recoded,
)
from rapport.extracts.levels import age_band, diagnosis_block
from rapport.extracts.request import Request
from rapport.privacy.studies import pseudonym, subject_uids
from rapport.privacy.zip3 import reduced_postal_code

MIN_THERAPISTS, MAX_THERAPIST_SHARE = 3, 0.8
# The order in which rows are cut (C5.6); what hangs on an episode goes with it.
TRIMMED = ("episodes", "sessions", "alliance", "ruptures", "outcomes")


@dataclass(frozen=True)
class Rung:
    """How finely the course in time is told (C5.7).

    Attributes:
        weeks: weeks a bin; None drops the weeks.
        score_bins: equal parts of an instrument's range; None leaves scores exact.
    """

    weeks: int | None
    score_bins: int | None

    def __str__(self) -> str:
        return f"({self.weeks or 'none'}, {self.score_bins or 'exact'})"


RUNGS = (
    Rung(1, None),
    Rung(1, 12),
    Rung(2, 12),
    Rung(4, 8),
    Rung(4, 5),
    Rung(None, 3),
)


def lay_subjects(con: duckdb.DuckDBPyConnection, home: Path) -> None:
    """Lay the snapshot's clients, episodes, clinics and therapists with their uids."""
    for entity, sql in (
        ("client", "select distinct client_key from pub.core.fct_episode"),
        ("episode", "select episode_key from pub.core.fct_episode"),
        ("clinic", "select clinic_key from pub.core.dim_clinic"),
        (
            "therapist",
            "select distinct therapist_key from pub.core.fct_episode"
            " where therapist_key is not null",
        ),
    ):
        keys = [row[0] for row in con.execute(sql).fetchall()]
        uids = subject_uids(home, entity, keys)
        frame = pd.DataFrame(
            {f"{entity}_key": list(uids), "uid": list(uids.values())}, dtype="str"
        )
        con.register("frame", frame)
        con.execute(f"create or replace table {entity}_subject as from frame")
        con.unregister("frame")


def lay_pseudonyms(con: duckdb.DuckDBPyConnection, study: str, key: bytes) -> bool:
    """Lay the study's name of each subject that the period holds.

    Returns:
        whether all pseudonyms differ.
    """
    unique = True
    for entity, sql in (
        ("client", "select distinct uid from held.member"),
        ("episode", "select distinct episode_uid from held.member"),
        (
            "clinic",
            "select distinct clinic_uid from held.course where clinic_uid is not null",
        ),
    ):
        uids = [row[0] for row in con.execute(sql).fetchall()]
        names = [pseudonym(key, study, entity, uid) for uid in uids]
        unique = unique and len(set(names)) == len(names)
        con.register("frame", pd.DataFrame({"uid": uids, "name": names}, dtype="str"))
        con.execute(f"create or replace table {entity}_name as from frame")
        con.unregister("frame")
    return unique


def lay_cohort(con: duckdb.DuckDBPyConnection, request: Request) -> int:
    """Lay the qualifying episodes and their persons; return how many persons.

    The index episode is a person's first that qualifies: its first attended session lies
    in the period, and every predicate of the request holds for it.
    """
    cohort, period = request.cohort, request.period
    conditions = ["first_on between ? and ?"]
    values: list[object] = [period.from_, period.to]
    if request.part2_basis is None:
        conditions.append("not is_part2")
    if cohort.min_attended is not None:
        conditions.append("n_attended >= ?")
        values.append(cohort.min_attended)
    if cohort.trauma_focused is not None:
        conditions.append("trauma_focused = ?")
        values.append(cohort.trauma_focused)
    if cohort.approach:
        conditions.append("treatment_approach in (select unnest(?))")
        values.append(list(cohort.approach))
    if cohort.state:
        conditions.append("state in (select unnest(?))")
        values.append(list(cohort.state))
    if cohort.instruments:
        conditions.append("list_has_any(instruments, ?)")
        values.append(list(cohort.instruments))
    # A source that was put under 42 CFR Part 2 since then counts as under it at once.
    con.execute(
        f"""
        create or replace table qualifying as
        with held as (
            select
                members.* replace (
                    members.is_part2 or coalesce(started.is_part2, false) as is_part2
                ),
                courses.* exclude (uid, episode_uid, content_hash)
            from held.member as members
            inner join held.course as courses using (episode_uid)
            left join started using (episode_uid)
        )
        select * from held where {" and ".join(conditions)}
        """,
        values,
    )
    con.execute(
        """
        create or replace table people as
        select
            row_number() over (order by names.name) - 1 as p,
            names.name as client_id,
            firsts.*
        from (
            select
                uid,
                episode_uid as index_episode,
                first_on as index_on,
                clinic_uid,
                therapist_uid,
                trauma_focused,
                closure_reason,
                birth_year, sex, race_group, state, zip3, dx_system, dx_code,
                row_number() over (
                    partition by uid order by first_on, episode_uid
                ) as place
            from qualifying
        ) as firsts
        inner join client_name as names on firsts.uid = names.uid
        where firsts.place = 1
        """
    )
    row = con.execute("select count(*) from people").fetchone()
    assert row is not None
    return int(row[0])


def lay_base(con: duckdb.DuckDBPyConnection, request: Request) -> None:
    """Lay every row that the profile could release, before anything is hidden."""
    con.execute("create schema if not exists base")
    con.execute("create schema if not exists data")
    counted = "n + n_part2" if request.part2_basis else "n"
    con.execute(
        f"""
        create or replace table base.episodes as
        with ordered as (
            select
                *,
                row_number() over (
                    partition by uid order by first_on, episode_uid
                ) as place
            from qualifying
        )
        select
            people.p,
            row_number() over (order by names.name) - 1 as e,
            names.name as episode_id,
            people.client_id,
            least(ordered.place, 3)::integer as episode_no,
            {_week("ordered.opened_on", request)} as open_week,
            {_week("ordered.closed_on", request)} as close_week,
            case ordered.closure_reason when 'deceased' then 'other'
                else ordered.closure_reason end as closure_reason,
            ordered.dropout,
            ordered.treatment_approach,
            cohorts.pattern,
            ordered.opened_on,
            ordered.closed_on,
            ordered.episode_uid,
            people.index_on,
            ordered.place as turn
        from ordered
        inner join people on ordered.uid = people.uid
        inner join episode_name as names on ordered.episode_uid = names.uid
        left join held.pattern as cohorts
            on
                ordered.episode_uid = cohorts.episode_uid
                and cohorts.method = ?
        """,
        [request.cohort.pattern_method],
    )
    spans = (
        f"between 0 and {request.week_cap}" if request.week_cap is not None else ">= 0"
    )
    con.execute(
        f"""
        create or replace table base.sessions as
        select
            episodes.p, episodes.e, episodes.client_id, episodes.episode_id,
            sessions.session_number,
            {_week("sessions.session_date", request, raw=True)} as week_index,
            sessions.status, sessions.modality, sessions.delivery_mode,
            case
                when sessions.duration_minutes is null then null
                when sessions.duration_minutes < 30 then '0-29'
                when sessions.duration_minutes < 45 then '30-44'
                when sessions.duration_minutes < 60 then '45-59'
                when sessions.duration_minutes < 90 then '60-89'
                else '90+'
            end as duration_band,
            sessions.session_date,
            {_turn("sessions", "session_date")} as turn
        from held.session as sessions
        inner join base.episodes as episodes
            on sessions.episode_uid = episodes.episode_uid
        where
            week_index {spans}
            and (sessions.session_number is null
                or sessions.session_number <= {MAX_SESSION})
        """
    )
    scores = ", ".join(
        f"scores.{c.name}" for c in TABLES["alliance"] if c.kind == "score"
    )
    con.execute(
        f"""
        create or replace table base.alliance as
        select
            episodes.p, episodes.e, episodes.client_id, episodes.episode_id,
            scores.session_number,
            {_week("scores.session_date", request, raw=True)} as week_index,
            scores.instrument, {scores}, scores.band, scores.session_date,
            {_turn("scores", "session_date")} as turn
        from held.alliance as scores
        inner join base.episodes as episodes
            on scores.episode_uid = episodes.episode_uid
        where
            week_index {spans}
            and (scores.session_number is null or scores.session_number <= {MAX_SESSION})
        """
    )
    is_method = "true" if request.cohort.method == "all" else "ruptures.method = ?"
    con.execute(
        f"""
        create or replace table base.ruptures as
        select
            episodes.p, episodes.e, episodes.client_id, episodes.episode_id,
            ruptures.method, ruptures.onset_session_number,
            {_week("ruptures.onset_date", request, raw=True)} as onset_week,
            ruptures.strength, ruptures.lead_component, ruptures.shape, ruptures.status,
            ruptures.sessions_to_repair,
            round(ruptures.drop_ratio, 1) as drop_ratio,
            ruptures.onset_date,
            {_turn("ruptures", "onset_date")} as turn
        from held.rupture as ruptures
        inner join base.episodes as episodes
            on ruptures.episode_uid = episodes.episode_uid
        where
            onset_week {spans}
            and ruptures.onset_session_number <= {MAX_SESSION}
            and {is_method}
        """,
        [] if request.cohort.method == "all" else [request.cohort.pattern_method],
    )
    con.execute(
        """
        create or replace table base.outcomes as
        select
            episodes.p, episodes.e, episodes.client_id, episodes.episode_id,
            outcomes.instrument, outcomes.first_score, outcomes.last_score,
            outcomes.change, outcomes.reliable_change, outcomes.clinical_class,
            outcomes.instrument as turn
        from held.outcome as outcomes
        inner join base.episodes as episodes
            on outcomes.episode_uid = episodes.episode_uid
        """
    )
    con.execute(
        f"""
        create or replace table base.clients as
        select
            people.p,
            people.client_id,
            year(people.index_on)::varchar as index_year,
            year(people.index_on) - people.birth_year as age_years,
            people.sex,
            people.race_group,
            people.state,
            people.zip3,
            case
                when counts.n is null then null
                when counts.n <= 2 then '1-2'
                when counts.n <= 5 then '3-5'
                when counts.n <= 11 then '6-11'
                when counts.n <= 23 then '12-23'
                when counts.n <= 51 then '24-51'
                else '52+'
            end as n_sessions_band,
            people.dx_system,
            people.dx_code,
            people.trauma_focused,
            people.clinic_uid,
            people.therapist_uid,
            people.index_on as index_date
        from people
        left join (
            select uid, sum({counted}) as n from held.attended group by uid
        ) as counts on people.uid = counts.uid
        """
    )
    con.execute(
        """
        create or replace table base.scale as
        select
            instrument, subscale,
            min(scale_min) as low, max(scale_max) as high
        from pub.core.dim_instrument
        group by instrument, subscale
        """
    )


def _turn(table: str, day: str) -> str:
    """SQL of a row's place in a person's course: by day, then as the episode has it."""
    return (
        f"strftime({table}.{day}, '%Y-%m-%d') || lpad({table}.place::varchar, 6, '0')"
    )


def cut_off(con: duckdb.DuckDBPyConnection, request: Request) -> dict[str, int]:
    """Count the cohort's sessions that lie outside the released weeks and numbers.

    Returns:
        sessions of the qualifying episodes and how many of them are not in ``base``;
        persons, and how many have a session after the last week.
    """
    cap = request.week_cap if request.week_cap is not None else 1_000_000
    row = con.execute(
        f"""
        select
            count(*) as sessions,
            count(*) - (select count(*) from base.sessions) as sessions_later,
            (select count(*) from people) as persons,
            count(distinct case when date_diff('day', episodes.index_on,
                sessions.session_date) >= {7 * (cap + 1)} then episodes.p end)
                as persons_longer
        from held.session as sessions
        inner join base.episodes as episodes
            on sessions.episode_uid = episodes.episode_uid
        """
    ).fetchone()
    assert row is not None
    names = ("sessions", "sessions_later", "persons", "persons_longer")
    return dict(zip(names, (int(n) for n in row), strict=True))


def _week(day: str, request: Request, *, raw: bool = False) -> str:
    """SQL of whole weeks since the index date; outside the span null, unless raw."""
    index = "people.index_on" if not raw else "episodes.index_on"
    week = f"floor(date_diff('day', {index}, {day}) / 7e0)::integer"
    if raw:
        return week
    cap = request.week_cap
    within = f"between 0 and {cap}" if cap is not None else ">= 0"
    return f"case when {week} {within} then {week} end"


def client_values(
    con: duckdb.DuckDBPyConnection, withheld_zip3: Sequence[str]
) -> dict[str, list[str]]:
    """Return each person's quasi-identifiers at level 0, persons by ``p``; no null."""
    rows = con.execute(
        "select index_year, age_years, sex, race_group, state, zip3, n_sessions_band,"
        " dx_system, dx_code from base.clients order by p"
    ).fetchall()
    found: dict[str, list[str]] = {
        name: [] for name in ("index_year", "age_band", "sex", "race_group", "state",
                              "zip3", "n_sessions_band", "dx_group")
    }  # fmt: skip
    for year, age, sex, race, state, zip3, sessions, system, code in rows:
        found["index_year"].append(year)
        found["age_band"].append(age_band(age))
        found["sex"].append(sex or "missing")
        found["race_group"].append(race or "missing")
        found["state"].append(state or "missing")
        found["zip3"].append(_allowed_zip3(zip3, withheld_zip3))
        found["n_sessions_band"].append(sessions or "missing")
        found["dx_group"].append(diagnosis_block(system, code))
    return found


def _allowed_zip3(zip3: str | None, withheld: Sequence[str]) -> str:
    """Hold a prefix against the list again: settings can only take prefixes off it."""
    if not zip3:
        return "missing"
    return "000" if zip3 in withheld else reduced_postal_code(f"{zip3}00")


def lay_clinic_groups(con: duckdb.DuckDBPyConnection, k: int) -> None:
    """Name a clinic by its pseudonym where enough people share it (C6, units)."""
    passes = (
        f"coalesce(sum(n) >= {k} and count(therapist_uid) >= {MIN_THERAPISTS}"
        f" and max(n) <= {MAX_THERAPIST_SHARE} * sum(n), false)"
    )
    con.execute(
        f"""
        create or replace table base.clinic_group as
        with staff as (
            select clinic_uid, therapist_uid, count(*) as n
            from base.clients where clinic_uid is not null
            group by clinic_uid, therapist_uid
        ),
        units as (
            select clinic_uid, {passes} as passes from staff group by clinic_uid
        ),
        -- Who works in two small clinics is one therapist of their pool.
        pooled as (
            select therapist_uid, sum(n) as n from staff
            where clinic_uid not in (select clinic_uid from units where passes)
            group by therapist_uid
        ),
        pool as (select {passes} as passes from pooled)
        select
            units.clinic_uid,
            case
                when units.passes then names.name
                when pool.passes then '{OTHER_UNITS}'
            end as clinic_group
        from units
        cross join pool
        inner join clinic_name as names on units.clinic_uid = names.uid
        """
    )
    con.execute(
        "alter table base.clients add column if not exists clinic_group varchar"
    )
    con.execute(
        "update base.clients set clinic_group = named.clinic_group"
        " from base.clinic_group as named where clients.clinic_uid = named.clinic_uid"
    )


def outside_their_list(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str]
) -> list[str]:
    """Name the columns that hold a word outside their closed list, with how often."""
    found = []
    for table in tables:
        for column in TABLES[table]:
            if not column.codes or column.kind == "qi":
                continue
            row = con.execute(
                f"select count(*) from base.{table} where {column.name} is not null"
                f" and {column.name} not in (select unnest(?))",
                [list(column.codes)],
            ).fetchone()
            if row and row[0]:
                found.append(f"{table}.{column.name}: {row[0]} rows hold no known code")
    return found


def drop_persons(con: duckdb.DuckDBPyConnection, persons: Sequence[int]) -> None:
    """Take persons out with all rows."""
    con.execute("create or replace table leaving as select unnest(?::bigint[]) as p",
                [list(persons)])  # fmt: skip
    for table in TABLES:
        con.execute(f"delete from base.{table} where p in (select p from leaving)")


def recode_rare(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str], k: int
) -> dict[str, int]:
    """Hide values that fewer than k persons hold in their table (C5.5).

    Returns:
        how many rows changed, a ``table.column``.
    """
    changed: dict[str, int] = {}
    laid = set(
        con.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'base'"
        ).fetchall()
    )
    for table in tables:
        for column in TABLES[table]:
            if not is_recoded(column) or (table, column.name) not in laid:
                continue
            n = _recode(con, table, column, k)
            if n:
                changed[f"{table}.{column.name}"] = n
    return changed


def _recode(con: duckdb.DuckDBPyConnection, table: str, column: Column, k: int) -> int:
    name = column.name
    rare = [
        row[0]
        for row in con.execute(
            f"select {name} from base.{table} where {name} is not null"
            f" group by {name} having count(distinct p) < {k} order by 1"
        ).fetchall()
    ]
    if not rare:
        return 0
    row = con.execute(
        f"select count(*) from base.{table} where {name} in (select unnest(?))", [rare]
    ).fetchone()
    n = int(row[0]) if row else 0
    if column.kind == "key":  # a row without its instrument or method says nothing
        con.execute(f"delete from base.{table} where {name} in (select unnest(?))", [rare])  # fmt: skip
        return n
    other = (
        OTHER_UNITS if name == "clinic_group"
        else "other" if "other" in column.codes
        else None
    )  # fmt: skip
    con.execute(
        f"update base.{table} set {name} = ? where {name} in (select unnest(?))",
        [other, rare],
    )
    if other is not None:
        row = con.execute(
            f"select count(distinct p) from base.{table} where {name} = ?", [other]
        ).fetchone()
        if row and 0 < row[0] < k:
            con.execute(
                f"update base.{table} set {name} = null where {name} = ?", [other]
            )
        elif rare == [other]:
            return 0
    return n


def trim_rows(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str], k: int
) -> dict[str, int]:
    """Cut rows until every row count is shared by k persons (C5.6).

    Returns:
        how many rows went, a table.
    """
    cut: dict[str, int] = {}
    for table in TRIMMED:
        if table not in tables:
            continue
        found = con.execute(
            f"select p, count(*) as n from base.{table} group by p order by p"
        ).fetchnumpy()
        counts = np.asarray(found["n"], dtype=np.int64)
        kept = trimmed_counts(counts, k)
        if (kept == counts).all():
            continue
        con.register("frame", pd.DataFrame({"p": found["p"], "kept": kept}))
        con.execute(
            f"""
            create or replace table going as
            select ranked.row_id, ranked.e
            from (
                select
                    rowid as row_id, p, e,
                    row_number() over (partition by p order by turn, e) as place
                from base.{table}
            ) as ranked
            inner join frame on ranked.p = frame.p
            where ranked.place > frame.kept
            """
        )
        con.unregister("frame")
        con.execute(
            f"delete from base.{table} where rowid in (select row_id from going)"
        )
        cut[table] = int((counts - kept).sum())
        if table == "episodes":
            for below in TRIMMED[1:]:
                con.execute(
                    f"delete from base.{below} where e in (select e from going)"
                )
    return cut


def trimmed_counts(counts: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return how many rows each person keeps, so that no count singles anyone out."""
    kept = counts.copy()
    for count in range(int(counts.max(initial=0)), 0, -1):
        has = kept == count
        if 0 < int(has.sum()) < k:
            kept[has] = count - 1
    return kept


def lay_data(
    con: duckdb.DuckDBPyConnection,
    request: Request,
    rung: Rung,
    shown: Mapping[str, Sequence[str]],
) -> dict[str, tuple[str, ...]]:
    """Lay the tables as they would leave at a rung.

    Args:
        con: the connection with ``base``.
        request: what was asked for.
        rung: how finely the course is told.
        shown: each quasi-identifier that stays, persons by ``p`` (all of them).

    Returns:
        the columns of each table.
    """
    frame = pd.DataFrame(
        {name: pd.Series(list(v), dtype="str") for name, v in shown.items()}
    )
    n = len(next(iter(shown.values()))) if shown else 0
    frame["p"] = np.arange(n, dtype=np.int64)
    con.register("frame", frame)
    con.execute("create or replace table base.shown as from frame")
    con.unregister("frame")
    found: dict[str, tuple[str, ...]] = {}
    for table in request.tables:
        names = _columns_at(table, request, rung, shown)
        selected = ", ".join(
            f"{_expression(table, name, rung, shown)} as {name}" for name in names
        )
        joins = " left join base.shown as shown on t.p = shown.p" if table == "clients" else ""  # fmt: skip
        if rung.score_bins is not None and table in ("alliance", "outcomes"):
            joins += _scale_joins(table)
        con.execute(
            f"create or replace table data.{table} as select {selected}"
            f" from base.{table} as t{joins} order by {', '.join(_order(table, names))}"
        )
        found[table] = names
    return found


def _columns_at(
    table: str, request: Request, rung: Rung, shown: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    names = []
    for column in TABLES[table]:
        if column.name not in request.released_columns(table):
            continue
        if column.kind == "qi" and column.name not in shown:
            continue  # generalised to `*`
        if column.kind == "place" and rung.weeks is None:
            continue
        if column.name == "drop_ratio" and rung.score_bins is not None:
            continue
        names.append(column.name)
    return tuple(names)


def _order(table: str, names: Sequence[str]) -> list[str]:
    """Order by pseudonym, then session: ``p`` and ``e`` number the pseudonyms in order."""
    first = {
        "episodes": ("client_id", "episode_no", "episode_id"),
        "ruptures": ("client_id", "episode_id", "onset_session_number"),
    }.get(table, ("client_id", "episode_id", "session_number"))
    keys = [name for name in first if name in names]
    numbers = {"client_id": "t.p", "episode_id": "t.e"}
    return [
        f"{numbers.get(name, name)} nulls last"
        for name in (*keys, *(name for name in names if name not in keys))
    ]


def _expression(
    table: str, name: str, rung: Rung, shown: Mapping[str, Sequence[str]]
) -> str:
    column = next(c for c in TABLES[table] if c.name == name)
    if name == "age":
        return (
            "case when t.age_years is null or t.age_years < 0 then 'missing'"
            " when t.age_years >= 90 then '90+' else t.age_years::varchar end"
        )
    if column.kind == "qi":
        return f"shown.{name}"
    if column.kind == "place" and rung.weeks is not None:
        return f"(t.{name} // {rung.weeks} * {rung.weeks})::integer"
    if column.kind == "score" and rung.score_bins is not None:
        return _binned_score(table, name, rung.score_bins)
    return f"t.{name}"


def _binned_score(table: str, name: str, bins: int) -> str:
    """SQL of a score's midpoint; differences are taken of the midpoints."""
    if table == "outcomes":
        if name == "change":
            first, last = (_midpoint(f"t.{n}", "s_total", bins) for n in ("first_score", "last_score"))  # fmt: skip
            return f"round({last} - {first}, 6)"
        return _midpoint(f"t.{name}", "s_total", bins)
    rater, part = name.split("_")
    if rater == "gap":
        both = [
            _midpoint(f"t.{who}_{part}", f"s_{part}", bins)
            for who in ("therapist", "client")
        ]
        return f"round({both[0]} - {both[1]}, 6)"
    return _midpoint(f"t.{name}", f"s_{part}", bins)


def _midpoint(score: str, scale: str, bins: int) -> str:
    part = f"({scale}.high - {scale}.low) / {bins}e0"
    place = (
        f"greatest(0, least({bins - 1},"
        f" floor(({score} - {scale}.low) / ({part}) + 1e-9)))"
    )
    middle = f"round({scale}.low + ({place} + 0.5) * {part}, 6)"
    return f"case when {score} is not null then {middle} end"


def _scale_joins(table: str) -> str:
    parts = ("total",) if table == "outcomes" else ("total", "goal", "task", "bond")
    return "".join(
        f" left join base.scale as s_{part} on t.instrument = s_{part}.instrument"
        f" and s_{part}.subscale = '{part}'"
        for part in parts
    )
