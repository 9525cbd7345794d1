"""C. What a session shows of the alliance, and the series that it belongs to."""

import pytest

from spec.conftest import Clinic, Shown, given, wai


@given("4.25 4.25 4.25 3.50 4.00")
def test_a_session_inside_a_rupture_is_marked_up_to_its_repair(shown: Shown) -> None:
    """`in_open_rupture` is true from the onset up to, not including, the repair session.
    `baseline` is the value this session's total was compared with (inside an open
    rupture, and at its repair, the rupture's own); null where it was not compared."""
    assert shown.sessions("session_number", "in_open_rupture", "baseline") == [
        (1, False, None),
        (2, False, None),
        (3, False, 4.25),
        (4, True, 4.25),
        (5, False, 4.25),
    ]


@given("4.25 4.25")
def test_a_series_below_the_minimum_is_compared_with_nothing(shown: Shown) -> None:
    """`baseline`: null where it was not compared."""
    assert shown.sessions("baseline", "in_open_rupture") == [(None, False)] * 2


def _therapist_only_between(clinic: Clinic, client: str) -> None:
    clinic.series(client, "4.25 4.25 3 - 4.25")
    session = clinic.sessions[-2].partition(",")[0]
    clinic.form(client, "WAI-SR", "2026-06-15", wai(4, 4, 4), rater="therapist",
                session=session)  # fmt: skip


@given(_therapist_only_between)
def test_a_session_without_a_client_total_can_lie_in_a_rupture(shown: Shown) -> None:
    """`in_open_rupture`: ruptures of the row's own series, by session number, also where
    there is no client total; `baseline` is null there."""
    assert shown.sessions(
        "session_number",
        "client_total",
        "therapist_total",
        "baseline",
        "in_open_rupture",
    )[2:] == [
        (3, 3.0, None, 4.25, True),
        (4, None, 4.0, None, True),
        (5, 4.25, None, 4.25, False),
    ]


@given("4.25 4.25 2.0@T2 4.25", name="short")
@given("4.25 4.25 3 4.25@T2 3", name="inside")
def test_a_covering_therapist_starts_another_series(shown: Shown) -> None:
    """A covering therapist starts another series and does not disturb the first."""
    assert shown["short"].ruptures("default_rc3", "onset_session_number") == []
    assert shown["inside"].sessions("session_number", "in_open_rupture") == [
        (1, False),
        (2, False),
        (3, True),
        (4, False),
        (5, True),
    ]


@given("=2.9999 3 =3.9999 4 =2.9999995")
def test_a_wai_sr_total_is_weak_moderate_or_strong(shown: Shown) -> None:
    """`band` of `client_total`: on the 1–5 mean **weak** < 3, **moderate** 3 to < 4,
    **strong** ≥ 4."""
    assert [band for (band,) in shown.sessions("band")] == [
        "weak", "moderate", "moderate", "strong", "moderate"]  # fmt: skip


@given("=3.9999 4 =5.4999 5.5", "WAI-S")
def test_the_bands_of_the_wai_s_are_on_its_own_scale(shown: Shown) -> None:
    """WAI-S: 4 and 5.5."""
    assert [band for (band,) in shown.sessions("band")] == [
        "weak", "moderate", "moderate", "strong"]  # fmt: skip


@given("34 =34.01 =38.99 39", "SRS")
def test_the_bands_of_the_srs_are_those_of_pcoms(shown: Shown) -> None:
    """SRS: weak ≤ 34, moderate > 34 to < 39, strong ≥ 39 (PCOMS practice)."""
    assert [band for (band,) in shown.sessions("band")] == [
        "weak", "moderate", "moderate", "strong"]  # fmt: skip


def _both_sides(clinic: Clinic, client: str) -> None:
    clinic.series(client, "4/3/5 4")
    session = clinic.sessions[-2].partition(",")[0]
    clinic.form(client, "WAI-SR", "2026-06-15", wai(3, 4, 4.25), rater="therapist",
                session=session)  # fmt: skip


@given(_both_sides)
def test_a_gap_is_therapist_minus_client_and_needs_both(shown: Shown) -> None:
    """`gap_x` = therapist − client, null unless both."""
    first, second = shown.sessions("gap_total", "gap_goal", "gap_task", "gap_bond")
    assert first == (pytest.approx(-0.25), -1.0, 1.0, -0.75)
    assert second == (None,) * 4


def _one_subscale(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-06-22")
    bond = {item: value for item, value in wai(4, 4, 3).items() if item in "3579"}
    clinic.form(client, "WAI-SR", "2026-06-22", bond, session=session)


def _overall_only(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-06-22")
    clinic.form(client, "SRS", "2026-06-22", {"4": 88}, session=session)


def _nothing_valid(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-06-22")
    clinic.form(client, "WAI-SR", "2026-06-22", {"3": 4}, session=session)


@given(_one_subscale, name="one subscale")
@given(_overall_only, name="overall only")
@given(_nothing_valid, name="nothing valid")
def test_any_valid_score_makes_a_row(shown: Shown) -> None:
    """One row for each session and alliance instrument with at least one valid client or
    therapist score row (any subscale; an SRS with only `overall` makes a row of nulls)."""
    columns = ("instrument", "client_total", "client_goal", "client_task", "client_bond",
               "band")  # fmt: skip
    assert shown["one subscale"].sessions(*columns) == [
        ("WAI-SR", None, None, None, 3.0, None)
    ]
    assert shown["overall only"].sessions(*columns) == [("SRS", *[None] * 5)]
    assert shown["nothing valid"].sessions(*columns) == []


def _two_instruments(wai_sr: int, srs: int) -> object:
    def draw(clinic: Clinic, client: str) -> None:
        clinic.series(client, " ".join(["4"] * wai_sr + ["-"] * max(0, srs - wai_sr)))
        sessions = [
            row.partition(",")[0] for row in clinic.sessions[-max(wai_sr, srs) :]
        ]
        for session in sessions[:srs]:
            clinic.form(client, "SRS", "2026-06-22", {str(k): 95 for k in range(1, 5)},
                        session=session)  # fmt: skip

    return draw


@given(_two_instruments(2, 3), name="more SRS")
@given(_two_instruments(2, 2), name="as many")
def test_the_primary_instrument_is_the_one_with_most_totals(shown: Shown) -> None:
    """**Primary alliance instrument** of an episode: most sessions with a valid client
    total; tie: WAI-SR, WAI-S, SRS."""
    assert shown["more SRS"].cohort("default_rc3", "instrument", "n_scores") == (
        "SRS", 3)  # fmt: skip
    assert shown["as many"].cohort("default_rc3", "instrument", "n_scores") == (
        "WAI-SR", 2)  # fmt: skip
