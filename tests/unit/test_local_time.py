"""The short way to read a clock says what the long way says, near every change of clocks.

The long way looks for an earlier reading two hours, one hour and half an hour back
(measurement.md B2); where a clock stood still for three hours to either side it is left
out (macros/local_time.sql).
"""

import random
import zoneinfo

import duckdb
import pytest

from lib.rendered import TEXTS

# By half an hour, by two, over a whole day, at a minute past midnight, backwards in
# winter, for a month each year, and for good.
ODD = [
    "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "America/St_Johns",
    "Europe/Dublin", "Africa/Casablanca", "Asia/Pyongyang", "America/Caracas",
    "Asia/Gaza", "Asia/Kathmandu", "Europe/Istanbul", "America/Chicago",
]  # fmt: skip
READ = """
{{ read_by_clock('written', ['seen'], 'zone') }},
read as (
    select
        zone, seen_wall, seen_is_steady,
        {{ written_to_utc('seen', 'zone') }} as seen,
        {{ clock_finding('seen', 'zone') }} as finding,
        seen_is_date, seen_offset_minutes
    from STEADIED
),
dated as (select *, {{ written_to_date('seen', 'zone') }} as day from read)
select zone, seen_wall, seen_is_steady, seen, finding, day from dated
"""


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """Lay every half hour, and seven minutes past it, of the days about a change."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    known = {
        row[0] for row in con.execute("select name from pg_timezone_names()").fetchall()
    }
    others = sorted((zoneinfo.available_timezones() & known) - set(ODD))
    zones = ODD + random.Random(20261130).sample(others, 20)
    con.execute(
        """
        create table written as
        with noons as (
            select zone, noon, timezone(zone, timezone('UTC', noon)) - noon as ahead
            from (select unnest(?) as zone), (select unnest(generate_series(
                timestamp '2004-01-01 12:00', timestamp '2027-01-01', interval 1 day)) as noon)
        ),
        changes as (
            select zone, noon from noons
            qualify ahead <> lag(ahead) over (partition by zone order by noon)
        )
        select distinct
            zone, noon + to_minutes(30 * half + past) as seen_wall,
            false as seen_is_date, null::integer as seen_offset_minutes
        from changes, (select unnest(range(-60, 12)) as half), (select unnest([0, 7]) as past)
        """,
        [zones],
    )
    return con


def test_the_short_way_finds_what_the_long_way_finds(
    con: duckdb.DuckDBPyConnection,
) -> None:
    short = TEXTS.render("with " + READ.replace("STEADIED", "steadied"))
    never = "(select * replace (null::boolean as seen_is_steady) from steadied)"
    long = TEXTS.render("with " + READ.replace("STEADIED", never))
    con.execute(f"create table short as {short}")
    con.execute(f"create table long as {long}")
    said = "select zone, seen_wall, seen, finding, day from"
    assert (
        con.execute(f"from ({said} short except {said} long) limit 5").fetchall() == []
    )
    n, n_short, n_twice, n_never, n_changes = (
        con.execute(
            "select count(*), count(*) filter (seen_is_steady),"
            " count(*) filter (finding = 'twice'), count(*) filter (finding = 'never'),"
            " count(distinct zone) from short"
        ).fetchone()
        or (0,) * 5
    )
    assert n > 50_000
    assert n_changes > 20
    assert n_twice > 1_000
    assert n_never > 1_000
    assert 0.6 < n_short / n < 0.98


def test_an_own_offset_and_a_bare_date_are_read_as_before(
    con: duckdb.DuckDBPyConnection,
) -> None:
    con.execute(
        "create or replace table written as from (values"
        " ('Europe/Berlin', timestamp '2026-03-29 02:30', false, 120),"
        " ('Europe/Berlin', timestamp '2026-06-01 23:30', false, -300),"
        " ('Europe/Berlin', timestamp '2026-06-01 00:00', true, null),"
        " (null, timestamp '2026-06-01 10:00', false, null)"
        ") as t (zone, seen_wall, seen_is_date, seen_offset_minutes)"
    )
    text = TEXTS.render("with " + READ.replace("STEADIED", "steadied"))
    said = con.execute(f"select seen::text, day::text from ({text})").fetchall()
    assert sorted(said, key=str) == [
        ("2026-03-29 00:30:00", "2026-03-29"),
        ("2026-05-31 22:00:00", "2026-06-01"),
        ("2026-06-02 04:30:00", "2026-06-02"),
        (None, None),
    ]
