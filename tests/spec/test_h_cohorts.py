"""H. Cohorts of episodes, and the trajectory by session."""

from spec.conftest import Clinic, Shown, given

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
