"""Which months a night counts anew: each reason, and what is no reason (ADR 0070).

The last night was of 2026-06-10 and tonight is of 2026-06-20, so that June is always counted.
``p_touched`` has an open episode at clinic k1 with a session in January and one in March, a
rupture from March on, and an episode that was closed in February; ``p_quiet`` is not touched.
"""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT
from rapport.warehouse.increment import COUNTED_BY_MONTH, MONTHLY, lay_before
from rapport.warehouse.rendered import ModelTexts

TABLES = {name.rpartition(".")[2]: name for name in COUNTED_BY_MONTH}
NIGHT = """
create schema base.core; create schema base.alliance; create schema base.outcomes;
create schema base.qi; create schema base_kept.form;
create table base.core.fct_session as from (values
    ('s1', 'p_touched', 'k1', 'e_open', date '2026-01-12', 'attended'),
    ('s2', 'p_touched', 'k1', 'e_open', date '2026-03-02', 'attended'),
    ('s3', 'p_quiet', 'k1', 'e_quiet', date '2026-04-13', 'attended')
) as t (session_key, client_key, clinic_key, episode_key, session_date, status);
create table base.core.fct_episode as from (values
    ('e_open', 'p_touched', 'k1', null::date, 2),
    ('e_closed', 'p_touched', 'k1', date '2026-02-20', 4),
    ('e_quiet', 'p_quiet', 'k1', null, 1)
) as t (episode_key, client_key, clinic_key, closed_on, n_attended);
create table base.alliance.fct_rupture as from (values
    ('r1', 'e_open', 'p_touched', 'm1', 'WAI-SR', 'client', date '2026-03-02', 'pending')
) as t (rupture_key, episode_key, client_key, method, instrument, rater, onset_date, status);
create table base.alliance.fct_alliance_session as from (values
    ('s1', 'e_open', 'WAI-SR', date '2026-01-12', 4.0),
    ('s2', 'e_open', 'WAI-SR', date '2026-03-02', 3.0),
    ('s3', 'e_quiet', 'WAI-SR', date '2026-04-13', 3.0)
) as t (session_key, episode_key, instrument, session_date, client_total);
create table base.alliance.rupture_cohort as from (values
    ('e_open', 'm1', 'WAI-SR', 'pending'), ('e_closed', 'm1', 'WAI-SR', 'no_rupture'),
    ('e_quiet', 'm1', null, 'insufficient')
) as t (episode_key, method, instrument, pattern);
create table base.outcomes.fct_episode_outcome as from (values
    ('e_open', 'PHQ-9', 3.0), ('e_closed', 'PHQ-9', 5.0)
) as t (episode_key, instrument, change);
create table base_kept.form.int_qi__form_due as from (values
    ('p_touched', 'k1', date '2026-01-12', 'complete', 'none', 'none'),
    ('p_touched', 'k1', date '2026-03-02', 'complete', 'none', 'none'),
    ('p_touched', 'k1', date '2026-03-02', 'none', 'none', 'none')
) as t (client_key, clinic_key, session_date, alliance_client, alliance_therapist, outcome_client);
create table base.qi.completion_monthly as
    select month, clinic_key, month >= date '2026-04-01' as is_partial
    from (select unnest(['k1', 'all']) as clinic_key), (
        select unnest(generate_series(date '2026-01-01', date '2026-06-01', interval 1 month))
            ::date as month);
create table base.qi.alliance_monthly as select 'WAI-SR' as instrument;
create table base.qi.outcome_monthly as select 'PHQ-9' as instrument;
create table base.qi.rupture_repair_monthly as select 'm1' as method, 'WAI-SR' as instrument;
"""
CONTROL = """
create schema control;
create table control.touched_client as select unnest(['p_touched', 'p_new']) as client_key;
create table control.touched_episode as
    select episode_key from base.core.fct_episode where client_key = 'p_touched';
"""
TONIGHT = """
create table int_qi__month as
    select distinct month, is_partial from base.qi.completion_monthly;
create table int_qi__clinic as
    select distinct clinic_key from base.qi.completion_monthly;
"""
ALL = {1, 2, 3, 4, 5, 6}
ALLIANCE, COMPLETION, ENDINGS, OUTCOMES, RUPTURES = MONTHLY
# What became of the night's tables, and the months that are counted anew for it.
CASES = {
    "nothing": ("", {}),
    "another client's rows are not looked at": (
        "update fct_session set status = 'no_show' where client_key = 'p_quiet'", {}
    ),
    "a session moved": (
        "update fct_session set session_date = '2026-05-04' where session_key = 's1'",
        {ALLIANCE: {1, 5}},
    ),
    "a session went": (
        "delete from fct_session where session_key = 's2'", {ALLIANCE: {3}}
    ),
    "a session's episode is counted elsewhere": (
        "update fct_session set episode_key = 'e_closed' where session_key = 's2'", {}
    ),
    "a form came late": (
        "update int_qi__form_due set outcome_client = 'complete' where month(session_date) = 1",
        {COMPLETION: {1}},
    ),
    "one of two forms of a day is valid now": (
        "update int_qi__form_due set alliance_client = 'complete'", {COMPLETION: {3}}
    ),
    "a second session of a day is due alike": (
        "insert into int_qi__form_due from int_qi__form_due where alliance_client = 'none'",
        {COMPLETION: {3}},
    ),
    "a score was corrected": (
        "update fct_alliance_session set client_total = 5 where session_key = 's1'",
        {ALLIANCE: {1}, RUPTURES: {1}},
    ),
    "a rupture was repaired": (
        "update fct_rupture set status = 'resolved'", {RUPTURES: {3}}
    ),
    "an open episode went on": (
        "update fct_episode set n_attended = 9 where episode_key = 'e_open';"
        "update fct_episode_outcome set change = 9 where episode_key = 'e_open'", {}
    ),
    "a closed episode had one session more": (
        "update fct_episode set n_attended = 9 where episode_key = 'e_closed'",
        {ENDINGS: {2}},
    ),
    "a closed episode's outcome is another": (
        "update fct_episode_outcome set change = 9 where episode_key = 'e_closed'",
        {OUTCOMES: {2}},
    ),
    "a closed episode's pattern is another": (
        "update rupture_cohort set pattern = 'repaired' where episode_key = 'e_closed'",
        {ENDINGS: {2}},
    ),
    "an episode was closed on another day": (
        "update fct_episode set closed_on = '2026-04-02' where episode_key = 'e_closed'",
        {ENDINGS: {2, 4}, OUTCOMES: {2, 4}},
    ),
    "an episode is another clinic's": (
        "update fct_episode set clinic_key = 'k2' where episode_key = 'e_open'",
        {RUPTURES: {1, 3}},
    ),
    "an episode went to another client": (
        "update fct_episode set client_key = 'p_new' where episode_key = 'e_open'",
        {RUPTURES: {1, 3}},
    ),
    "a month is settled": (
        "update int_qi__month set is_partial = false where month = '2026-04-01'",
        {mart: {4} for mart in MONTHLY},
    ),
    "a month is shown no more": (
        "delete from int_qi__month where month = '2026-01-01'",
        {mart: {1} for mart in MONTHLY},
    ),
    "a clinic opened": (
        "insert into int_qi__clinic values ('k2')", dict.fromkeys(MONTHLY, ALL)
    ),
    "an instrument is new": (
        "update fct_alliance_session set instrument = 'SRS' where session_key = 's3'",
        {ALLIANCE: ALL},
    ),
    "an outcome is measured no more": (
        "delete from fct_episode_outcome", {OUTCOMES: ALL}
    ),
    "a method is new": (
        "insert into rupture_cohort values ('e_quiet', 'm2', 'WAI-SR', 'pending')",
        {RUPTURES: ALL},
    ),
}  # fmt: skip


def by_mart(rows) -> dict[str, set[int]]:
    found = dict.fromkeys(MONTHLY, frozenset())
    for mart, month in rows:
        found[mart] |= {month.month}
    return found


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("moved")
    paths = folder / "base.duckdb", folder / "kept.duckdb"
    with duckdb.connect() as con:
        for path, name in zip(paths, ("base", "base_kept"), strict=True):
            con.execute(f"attach '{path}' as {name}")
        con.execute(NIGHT)
    return paths


@pytest.mark.parametrize(("became", "months"), CASES.values(), ids=CASES)
def test_only_the_months_that_something_happened_to_are_counted_anew(
    night, became: str, months: dict[str, set[int]]
) -> None:
    texts = ModelTexts(ROOT / "dbt_project", is_increment=True)
    with duckdb.connect() as con:
        for path, name in zip(night, ("base", "base_kept"), strict=True):
            con.execute(f"attach '{path}' as {name} (read_only)")
        con.execute(CONTROL)
        con.execute(TONIGHT)
        for name, published in TABLES.items():
            con.execute(f"create table {name} as from {published}")
        for name in ("base", "base_kept"):
            con.execute(f"detach {name}")
        lay_before(con, *night, date(2026, 6, 10))
        con.execute(became)
        found = con.execute(texts.model("int_qi__moved_month")).fetchall()
    expected = {mart: months.get(mart, set()) | {6} for mart in MONTHLY}
    assert by_mart(found) == expected


def test_a_build_of_all_counts_every_month(night) -> None:
    texts = ModelTexts(ROOT / "dbt_project")
    with duckdb.connect() as con:
        con.execute(f"attach '{night[0]}' as base (read_only)")
        con.execute(f"attach '{night[1]}' as base_kept (read_only)")
        con.execute(TONIGHT)
        for name, published in TABLES.items():
            con.execute(f"create table {name} as from {published}")
        found = con.execute(texts.model("int_qi__moved_month")).fetchall()
    assert by_mart(found) == dict.fromkeys(MONTHLY, ALL)
