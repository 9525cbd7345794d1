"""H. Cohorts of episodes, and the trajectory by session."""

import statistics

import pytest

from spec.conftest import Clinic, Shown, answers, given

PATTERN = ("pattern", "n_ruptures", "n_repaired", "first_rupture_session", "n_scores")


@given("4.25 3.0", name="two scores")
@given("4 4@T2 4 4@T2", name="two series of two")
@given("- -", name="no form")
def test_too_few_scores_are_a_group_of_their_own(shown: Shown) -> None:
    """**insufficient** (no series reaches the method's minimum): clients whose forms are
    too few are a group of their own, never "no rupture"."""
    assert shown["two scores"].cohort("default_rc3", *PATTERN) == (
        "insufficient", 0, 0, None, 2)  # fmt: skip
    assert shown["two scores"].cohort("adjacent_rci", "pattern") == ("pending",)
    assert shown["two series of two"].cohort("default_rc3", *PATTERN) == (
        "insufficient", 0, 0, None, 4)  # fmt: skip
    assert shown["two series of two"].cohort("adjacent_rci", "pattern") == (
        "no_rupture",)  # fmt: skip
    assert shown["no form"].cohort("default_rc3", "instrument", *PATTERN) == (
        None, "insufficient", 0, 0, None, 0)  # fmt: skip


@given("4 4 4 4")
def test_enough_scores_without_a_rupture_are_no_rupture(shown: Shown) -> None:
    """**no_rupture**; `n_scores` = its series scores over all therapists."""
    assert shown.cohort("default_rc3", "instrument", *PATTERN) == (
        "WAI-SR", "no_rupture", 0, 0, None, 4)  # fmt: skip


@given("4/4/4.5 4/4/4.5 4/4/3 4/4/4.5 4/4/4.5 3/3/4 3/3/4 3/3/4 3/3/4 4.25")
def test_resolved_and_late_repairs_are_repaired(shown: Shown) -> None:
    """**repaired** (all resolved or late_repair). `n_repaired` counts both repairs.
    `first_rupture_session`, `lead_component` are of the first rupture."""
    assert shown.ruptures("adjacent_rci", "onset_session_number", "status") == [
        (6, "late_repair")
    ]
    assert shown.cohort("adjacent_rci", *PATTERN) == ("repaired", 1, 1, 6, 10)


@given("4 4 3 4 4 3 3 3 3", name="unresolved")
@given("4 4 3", name="at close", closed=True)
@given("4 4 3 3@T2 3@T2 2@T2 2@T2 2@T2 2@T2", name="beside a pending one")
def test_one_rupture_without_repair_makes_the_episode_unrepaired(shown: Shown) -> None:
    """**unrepaired** (any unresolved or unresolved_at_close), first that holds, before
    pending."""
    assert shown["unresolved"].cohort("default_rc3", *PATTERN) == (
        "unrepaired", 2, 1, 3, 9)  # fmt: skip
    assert shown["at close"].cohort("default_rc3", *PATTERN) == (
        "unrepaired", 1, 0, 3, 3)  # fmt: skip
    assert shown["beside a pending one"].cohort("default_rc3", *PATTERN) == (
        "unrepaired", 2, 0, 3, 9)  # fmt: skip


@given("4 4 3 4 4 3")
def test_one_pending_rupture_makes_the_episode_pending(shown: Shown) -> None:
    """**pending** (any pending), before repaired."""
    assert shown.cohort("default_rc3", *PATTERN) == ("pending", 2, 1, 3, 6)


@given("4/4/4.5 4/4/4.5 4/4/2 4 4 2/4/4")
def test_the_lead_of_an_episode_is_that_of_its_first_rupture(shown: Shown) -> None:
    """`first_rupture_session`, `lead_component` are of the first rupture (null when
    none)."""
    assert shown.cohort("default_rc3", "n_ruptures", "lead_component") == (2, "bond")


@given("1:3:1 0", "PSQ", name="PSQ")
@given("36", "SRS", name="SRS")
@given("4 4 4", name="neither")
def test_the_methods_of_one_instrument_have_their_rows_in_every_episode(
    shown: Shown,
) -> None:
    """`instrument` = the primary one, null if there is none (`PSQ`, `SRS` for their
    methods, also where there are no such forms)."""
    assert shown["PSQ"].cohort("psq_direct", "instrument", *PATTERN) == (
        "PSQ", "repaired", 1, 1, 1, 2)  # fmt: skip
    assert shown["PSQ"].cohort("default_rc3", "instrument", "pattern") == (
        None, "insufficient")  # fmt: skip
    assert shown["SRS"].cohort("srs_concern", "instrument", *PATTERN) == (
        "SRS", "pending", 1, 0, 1, 1)  # fmt: skip
    for method, instrument in (("psq_direct", "PSQ"), ("srs_concern", "SRS")):
        assert shown["neither"].cohort(method, "instrument", *PATTERN) == (
            instrument, "insufficient", 0, 0, None, 0)  # fmt: skip


def _booked(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-06-01")
    clinic.session(client, "2026-06-22", "no_show")


@given(_booked)
def test_an_episode_without_an_attended_session_is_in_no_cohort(shown: Shown) -> None:
    """`rupture_cohort`: for each episode with ≥ 1 attended session and each method."""
    assert shown.of("select n_attended from core.fct_episode where client_key = @") == [
        (0,)
    ]
    assert (
        shown.of(
            "select 1 from alliance.rupture_cohort join core.fct_episode"
            " using (episode_key) where client_key = @"
        )
        == []
    )


# Bond at the first session of twelve trauma-focused episodes: low, and one that is not.
BONDS = [2 + n / 4 for n in range(11)] + [7]


def _slow_starts(clinic: Clinic, client: str) -> None:
    for n, bond in enumerate(BONDS):
        one = f"{client}-{n}"
        clinic.episode(one, "2025-06-01", trauma="true")
        second = "4" if n < 10 else "-"
        late = "4" if n else "-"
        marks = [f"4/4/{bond}", second, *["-"] * 23, late, late]
        clinic.series(one, " ".join(marks), "WAI-S")


def _trajectory(shown: Shown, focus: str, component: str) -> dict[int, tuple]:
    rows = shown.night.con.execute(
        "select session_number, n_episodes, mean_score, sd_score, median_score, suppressed"
        " from alliance.trajectory_by_session where instrument = 'WAI-S'"
        f" and trauma_focused = '{focus}' and component = '{component}'"
    ).fetchall()
    return {number: tuple(said) for number, *said in rows}


@given(_slow_starts)
def test_the_trajectory_pools_client_scores_by_session(shown: Shown) -> None:
    """One row for each `trauma_focused` of the episode, instrument, component and
    `session_number` 1–26 with ≥ 1 score: `n_episodes`, `mean_score`, `sd_score` (sample),
    `median_score` (even count: mean of the middle two), on the native scale."""
    bond = _trajectory(shown, "true", "bond")
    n, mean, sd, median, suppressed = bond[1]
    assert (n, median, suppressed) == (12, 3.375, False)
    assert mean == pytest.approx(statistics.mean(BONDS), abs=1e-9)
    assert sd == pytest.approx(statistics.stdev(BONDS), abs=1e-9)
    assert _trajectory(shown, "true", "goal")[1] == (12, 4.0, 0.0, 4.0, False)
    # Nobody scored session 3; session 27 is past the page's last.
    assert sorted(bond) == [1, 2, 26]
    assert bond[26][0] == 11


def test_a_cell_of_few_episodes_shows_that_it_is_there_and_no_more(
    shown: Shown,
) -> None:
    """Where `n_episodes` is below `qi.small_cell_min` (11), these four are null and
    `suppressed` is true, else false."""
    cells = _trajectory(shown, "true", "goal")  # as drawn for the case before
    assert cells[2] == (None, None, None, None, True)
    assert cells[26] == (11, 4.0, 0.0, 4.0, False)


def _two_episodes_of_one(clinic: Clinic, client: str) -> None:
    for n in range(10):
        clinic.episode(f"{client}-{n}", "2026-01-01", trauma="false")
        clinic.series(f"{client}-{n}", "4", "WAI-S")
    before = f"{client}-0"
    clinic.episode(before, "2025-01-01", "2025-03-01", trauma="false")
    session = clinic.session(before, "2025-01-10")
    clinic.form(before, "WAI-S", "2025-01-10", answers("WAI-S", "4"), session=session)


@given(_two_episodes_of_one)
def test_a_cell_of_few_clients_is_hidden_however_many_their_episodes(
    shown: Shown,
) -> None:
    """Or the number of distinct clients behind it, is below `qi.small_cell_min`."""
    ((n_episodes, n_clients),) = shown.night.con.execute(
        "select count(*), count(distinct client_key) from core.fct_episode"
        " join alliance.fct_alliance_session using (episode_key)"
        " where instrument = 'WAI-S' and session_number = 1 and not trauma_focused"
    ).fetchall()
    assert (n_episodes, n_clients) == (11, 10)
    assert _trajectory(shown, "false", "total") == {1: (None, None, None, None, True)}
