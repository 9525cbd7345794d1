"""B. Sessions, their local time, and the episodes that they make."""

from spec.conftest import Clinic, Night


def cases(clinic: Clinic) -> None:
    for day in ("2026-01-01", "2026-04-01", "2026-06-30"):
        clinic.session("gap90", day)
    for day in ("2026-01-01", "2026-04-02"):
        clinic.session("gap91", day)
    clinic.session(
        "dst", "2025-11-02", zone="America/New_York", at="01:30", end="2025-11-02T02:15"
    )
    clinic.session("dst", "2026-03-08", zone="America/New_York", at="02:30")
    clinic.session(
        "evening", "2026-02-01", zone="America/Los_Angeles", at="20:00-08:00"
    )
    clinic.session("future", "2026-06-01")
    clinic.session("future", "2026-07-10")
    clinic.episode("reported", "2026-01-01", "2026-12-31", "completed", name="E1")
    clinic.session("reported", "2026-02-01", episode="E1")
    clinic.session("reported", "2026-02-08", "no_show")
    clinic.session("old", "2026-01-05")
    clinic.session("new", "2026-01-12")
    clinic.merges.append("old,new,2026-02-01")


def test_ninety_days_are_one_episode_and_ninety_one_are_two(night: Night) -> None:
    """B5: a new episode starts when the gap between consecutive session dates is **more
    than 90 days**."""
    sql = "select opened_on::varchar, episode_status, n_attended from core.fct_episode where client_key = @ order by 1"
    assert night.of("gap90", sql) == [("2026-01-01", "open", 3)]
    assert night.of("gap91", sql) == [
        ("2026-01-01", "closed", 1),
        ("2026-04-02", "open", 1),
    ]


def test_a_time_that_came_twice_is_its_first_occurrence(night: Night) -> None:
    """B2: a wall-clock time that came twice (autumn) is its first occurrence; one that
    never was (spring) moves forward by the gap."""
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @ order by 1"
    assert night.of("dst", sql) == [
        ("2025-11-02 05:30:00", "2025-11-02"),
        ("2026-03-08 07:30:00", "2026-03-08"),
    ]


def test_the_session_date_is_local(night: Night) -> None:
    """B2: `session_date` = local date."""
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @"
    assert night.of("evening", sql) == [("2026-02-02 04:00:00", "2026-02-01")]


def test_a_session_after_the_as_of_date_has_no_number(night: Night) -> None:
    """B3: attended sessions on or before as-of are numbered; all others have a null number."""
    sql = "select session_number from core.fct_session where client_key = @ order by session_date"
    assert night.of("future", sql) == [(1,), (None,)]


def test_a_close_in_the_future_is_not_yet_published(night: Night) -> None:
    """B6: a `closed_on` in the future, and its reason, are not yet published."""
    sql = ("select episode_status, closed_on, closure_reason, n_attended, n_missed, dropout"
           " from core.fct_episode where client_key = @")  # fmt: skip
    assert night.of("reported", sql) == [("open", None, None, 1, 1, None)]


def test_a_merged_client_is_one_client(night: Night) -> None:
    """B1: all rows of an old id belong to the last id, in every table, all history."""
    assert night.of("old", "select 1 from core.dim_client where client_key = @") == []
    sql = "select session_number from core.fct_session where client_key = @ order by 1"
    assert night.of("new", sql) == [(1,), (2,)]
