"""A published home laid by hand: a few hundred persons whose course is known, in a second.

Every second person comes weekly with a form each time; scores take few values, so the
course can be released at a coarse rung. No pipeline runs: the snapshot's tables that the
extracts read are made here, with the columns of the contract.
"""

import os
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

from rapport.privacy import Vault
from rapport.settings import Settings, load_settings

AS_OF = date(2026, 6, 30)
TODAY = date(2026, 7, 1)
_SNAPSHOT = """
create schema core; create schema alliance; create schema outcomes; create schema ops;
create table person as
select
    i, 'cl_' || lpad(translate(i::varchar, '0189', 'klmn'), 26, 'a') as client_key,
    'ep_' || lpad(translate(i::varchar, '0189', 'klmn'), 26, 'a') as episode_key,
    date '2024-01-08' + ((i * 7) % 700)::integer as first_on,
    (hash(i * 31) % 97)::integer as h
from range({n}) as r(i);
create table ops.run as select 'r_20260630_000000_0000' as run_id,
    date '2026-06-30' as as_of, 'published' as outcome;
create table core.dim_client as
select client_key, 'canonical' as source, (1950 + h % 50)::integer as birth_year,
    case when h % 2 = 0 then 'female' else 'male' end as sex,
    case h % 5 when 0 then 'black' when 1 then 'hispanic' else 'white' end as race_group,
    case h % 3 when 0 then 'NY' else 'CA' end as state,
    case h % 3 when 0 then '100' when 1 then '900' else '036' end as zip3,
    first_on as first_session_date, true as trauma_focused
from person;
create table core.dim_clinic as
select 'cn_' || repeat(c, 26) as clinic_key, 'clinic' as clinic_name, 'NY' as state,
    'UTC' as timezone
from (values ('a'), ('b'), ('c')) as v(c);
create table core.fct_episode as
select episode_key, client_key,
    'th_' || repeat(substr('abcdefgh', 1 + (i % 8)::integer, 1), 26) as therapist_key,
    'cn_' || repeat(substr('abc', 1 + (i % 3)::integer, 1), 26) as clinic_key,
    first_on - 3 as opened_on, first_on + 70 as closed_on,
    case h % 4 when 0 then 'dropped_out' else 'completed' end as closure_reason,
    'closed' as episode_status, 'reported' as episode_origin, true as trauma_focused,
    case h % 2 when 0 then 'emdr' else 'cpt' end as treatment_approach,
    10 as n_attended, 0 as n_missed, h % 4 = 0 as dropout, 'coded' as dropout_rule,
    false as is_part2
from person;
create table core.fct_session as
select 'se_' || lpad(translate((i * 100 + s)::varchar, '0189', 'klmn'), 26, 'a')
        as session_key,
    client_key, 'th_' || repeat('a', 26) as therapist_key, 'cn_' || repeat('a', 26)
        as clinic_key, episode_key, s::integer as session_number,
    first_on + (7 * (s - 1))::integer as session_date,
    first_on::timestamp as started_at, 50 as duration_minutes, 'attended' as status,
    'individual' as modality, 'emdr' as treatment_approach, 'in_person' as delivery_mode
from person cross join range(1, 11) as t(s);
create table core.fct_diagnosis as
select client_key, episode_key, 'icd10' as system,
    case h % 3 when 0 then 'F43.10' else 'F33.1' end as code, first_on as recorded_on,
    true as is_primary
from person;
create table core.fct_measure_score as
select episode_key, 'WAI-SR' as instrument, true as is_valid from person;
create table core.dim_instrument as
select * from (values ('WAI-SR', 'total', 1.0, 5.0), ('WAI-SR', 'goal', 1.0, 5.0),
    ('WAI-SR', 'task', 1.0, 5.0), ('WAI-SR', 'bond', 1.0, 5.0),
    ('PCL-5', 'total', 0.0, 80.0)) as v(instrument, subscale, scale_min, scale_max);
create table alliance.fct_alliance_session as
select sessions.episode_key, sessions.session_key, sessions.session_number,
    sessions.session_date, 'WAI-SR' as instrument,
    (3 + (person.h + sessions.session_number) % 2)::double as client_total,
    3.0::double as client_goal, 3.0::double as client_task, 3.0::double as client_bond,
    null::double as therapist_total, null::double as therapist_goal,
    null::double as therapist_task, null::double as therapist_bond,
    null::double as gap_total, null::double as gap_goal, null::double as gap_task,
    null::double as gap_bond, 'moderate' as band, null::double as baseline,
    false as in_open_rupture
from core.fct_session as sessions inner join person using (episode_key);
create table alliance.fct_rupture as
select 'rupture' || i as rupture_key, 'default_rc3' as method, episode_key, client_key,
    'WAI-SR' as instrument, 5 as onset_session_number, first_on + 28 as onset_date,
    1.26::double as drop_ratio, 'possible' as strength, 'goal' as lead_component,
    'v' as shape, 'resolved' as status, 1 as sessions_to_repair
from person where h % 3 = 0;
create table alliance.rupture_cohort as
select episode_key, 'default_rc3' as method, 'WAI-SR' as instrument,
    case h % 3 when 0 then 'repaired' else 'no_rupture' end as pattern
from person;
create table outcomes.fct_episode_outcome as
select episode_key, 'PCL-5' as instrument, 50.0::double as first_score,
    (20 + h % 3 * 10)::double as last_score, (h % 3 * 10 - 30)::double as change,
    'improved' as reliable_change,
    case h % 2 when 0 then 'recovered' else 'improved' end as clinical_class,
    2 as n_scores, 'moderate' as early_alliance_band
from person;
"""
SPEC = """
study = "alliance-repair-2026"
title = "Alliance repair and outcome in trauma care"
purpose = "Whether ruptures that are repaired go with better outcome."
requester = { name = "Ada Byron", organisation = "University", email = "ada@example.org" }
period = { from = 2024-01-01, to = 2025-12-31 }
tables = ["clients", "episodes", "sessions", "alliance", "ruptures", "outcomes"]
expires_on = 2027-12-31
"""


def spec(**changes: str) -> str:
    """Return the request's text with lines replaced or added, by their key."""
    lines = [line for line in SPEC.strip().splitlines()
             if line.split(" = ")[0] not in changes]  # fmt: skip
    return "\n".join([*lines, *(f"{k} = {v}" for k, v in changes.items() if v)]) + "\n"


def lay_home(home: Path, n: int = 400, edit: tuple[str, ...] = ()) -> Settings:
    """Lay a published home of n persons; ``edit`` is SQL on the snapshot."""
    (home / "published").mkdir(parents=True)
    (home / "rapport.toml").write_text(
        '[extracts]\napprovers = ["Grace Hopper", "Ada Byron"]\n'
    )
    settings = load_settings({"RAPPORT_HOME": str(home)})
    change_snapshot(settings, edit, n=n)
    return settings


def change_snapshot(settings: Settings, edit: tuple[str, ...], n: int = 400) -> None:
    """Publish the snapshot anew, with other rows."""
    path = settings.home / "published" / "rapport.duckdb"
    building = path.with_suffix(".building")
    with duckdb.connect(building) as con:
        con.execute(_SNAPSHOT.format(n=n))
        for sql in edit:
            con.execute(sql)
        keys = con.execute("select client_key from core.dim_client").fetchall()
        con.execute("drop table person")
    os.replace(building, path)
    vault = Vault(settings.home)
    clients = [(f"id-{key}", key) for (key,) in keys]
    vault.remember("canonical", clients=clients, therapists=[], raw_codes=[])


def with_uids(settings: Settings, number: Callable[[int], int]) -> None:
    """Give each person a uid that follows from the place, so that draws repeat."""
    with sqlite3.connect(Vault(settings.home).path) as con:
        keys = con.execute("select client_key from person order by 1").fetchall()
        con.executemany(
            "update person set uid = ? where client_key = ?",
            [(f"{number(place):032x}", key) for place, (key,) in enumerate(keys)],
        )
