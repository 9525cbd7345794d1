"""J. Settings of the rupture engine; those of the charts over time."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from conftest import Home
from spec.conftest import AS_OF, Clinic, Night

SETTINGS = """
[rupture]
methods = ["default_rc3", "adjacent_rci", "abs_drop"]
baseline_scores = 2
baseline_min = 1
repair_window = 1
repair_fraction = 0.25
likely_ratio = 1.2

[instruments.WAI-SR]
rc = 0.5
rc_subscale = 0.8

[alliance]
primary_instrument = "SRS"

[qi]
small_cell_min = 0
settle_days = 0

[[qi.target]]
chart = "completion.*"
value = 0.8
"""


@pytest.fixture(scope="module")
def other(new_home: Callable[[str], Home]) -> Iterator[Night]:
    """A clinic that has set everything otherwise."""
    clinic = Clinic()
    clinic.series("baseline", "5 4 4 4.5 3.5 4 =3.9")
    clinic.series("tie", "=4 =3.5 =3.875")
    clinic.series("missed", "=4 =3.5 =3.8749")
    clinic.series("likely", "=4 =4 =3.4")
    clinic.series("late", "4 4 3 3 4")
    home = new_home("settings")
    home.path.mkdir(parents=True)
    (home.path / "rapport.toml").write_text(SETTINGS)
    home.run("change", "add", "--chart", "completion.*", "--from", "2026-06-01",
             "--note", "Forms on a tablet")  # fmt: skip
    home.deliver("d1", clinic.files())
    home.run("ingest")
    home.run("build", "--as-of", AS_OF)
    night = Night(home)
    yield night
    night.con.close()


def found(night: Night, client: str, method: str, *columns: str) -> list[tuple]:
    return night.of(client, f"select {', '.join(columns)} from alliance.fct_rupture where"
                    f" client_key = @ and method = '{method}' order by"
                    " onset_session_number")  # fmt: skip


def test_only_the_methods_that_are_set_are_published(other: Night) -> None:
    """`rupture.methods`: any subset that holds `default_rc3`."""
    for table in ("fct_rupture", "rupture_cohort"):
        methods = other.con.execute(f"select distinct method from alliance.{table}")
        assert sorted(methods.fetchall()) == [
            ("abs_drop",), ("adjacent_rci",), ("default_rc3",)]  # fmt: skip


def test_the_baseline_takes_as_many_scores_as_are_set(other: Night) -> None:
    """`rupture.baseline_scores` 2, `rupture.baseline_min` 1: the second score is compared
    with the first, the fifth with the mean of 4 and 4.5."""
    assert found(
        other, "baseline", "default_rc3", "onset_session_number", "baseline"
    ) == [(2, 5.0)]
    assert found(other, "tie", "default_rc3", "onset_session_number", "baseline") == [
        (2, 4.0)
    ]


def test_reliable_change_and_repair_are_the_clinics_own(other: Night) -> None:
    """`instruments.WAI-SR.rc` 0.5 opens at 3.5 and `rupture.repair_fraction` 0.25 repairs
    at 4 − 0.125, by `default_rc3` and `adjacent_rci` alike."""
    for method in ("default_rc3", "adjacent_rci"):
        assert found(other, "tie", method, "drop_ratio", "status") == [
            (1.0, "resolved")
        ]
        assert found(other, "missed", method, "status") == [("unresolved",)]


def test_likely_and_late_are_the_clinics_own(other: Night) -> None:
    """`rupture.likely_ratio` 1.2 (a drop of 0.6 by RC 0.5); `rupture.repair_window` 1: a
    repair at the second further score is late."""
    assert found(other, "likely", "default_rc3", "strength") == [("likely",)]
    assert found(other, "late", "default_rc3", "status", "sessions_to_repair") == [
        ("late_repair", 2)
    ]


def test_an_episode_without_the_instrument_that_is_set_has_no_primary(
    other: Night,
) -> None:
    """`alliance.primary_instrument` SRS: episodes with WAI-SR alone are insufficient,
    though their ruptures stand in `fct_rupture`."""
    rows = other.of("tie", "select instrument, pattern, n_ruptures from"
                    " alliance.rupture_cohort join core.fct_episode using (episode_key)"
                    " where client_key = @ and method = 'default_rc3'")  # fmt: skip
    assert rows == [(None, "insufficient", 0)]


def test_a_recorded_change_begins_a_segment_at_the_next_build(other: Night) -> None:
    """`rapport change add`: the month of its day begins the second segment."""
    points = other.con.execute(
        "select month, segment from qi.spc_point where clinic_key = 'all' and value is not"
        " null and chart_id = 'completion.alliance_client' order by month"
    ).fetchall()
    assert points[-2:] == [(date(2026, 5, 1), 0), (date(2026, 6, 1), 1)]
    series = other.con.execute(
        "select segment, start_month, change_note from qi.spc_series where clinic_key ="
        " 'all' and chart_id = 'completion.alliance_client' order by segment"
    ).fetchall()
    assert series[1] == (1, date(2026, 6, 1), "Forms on a tablet")
    others = (
        "select max(segment) from qi.spc_series where chart_id not like 'completion.%'"
    )
    assert other.con.execute(others).fetchall() == [(0,)]


def test_a_target_is_drawn_on_its_charts_alone(other: Night) -> None:
    """`qi.target`: without limits nothing is said of whether it is met."""
    targets = other.con.execute(
        "select distinct split_part(chart_id, '.', 1) = 'completion', target, assurance"
        " from qi.spc_series order by 1"
    ).fetchall()
    assert targets == [(False, None, None), (True, 0.8, None)]
