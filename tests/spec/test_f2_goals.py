"""F2. The goals of client and therapist, and how far they overlap."""

import pytest

from spec.conftest import Clinic, Draw, Shown, given

OVERLAP = ("n_client_goals", "n_therapist_goals", "n_shared", "overlap")


def goals(drawing: str) -> Draw:
    """Draw rows ``day rater domain [status goal]`` in a reported episode of 2026."""

    def draw(clinic: Clinic, client: str) -> None:
        clinic.episode(client, "2026-01-01")
        clinic.session(client, "2026-01-05")
        for line in drawing.strip().splitlines():
            day, rater, domain, *rest = line.split()
            status, name = rest if rest else ("active", "")
            clinic.goal(client, rater, domain, f"2026-{day}", status, name=name)

    return draw


def overlap(shown: Shown, *columns: str) -> tuple:
    (row,) = shown.of(
        f"select {', '.join(columns)} from alliance.fct_goal_overlap"
        " join core.fct_episode using (episode_key) where client_key = @"
    )
    return row


@given(goals("""
    02-01 client sleep
    02-01 client work
    02-01 client other
    02-01 therapist sleep
    02-01 therapist safety
    02-01 therapist unknown
"""))  # fmt: skip
def test_overlap_is_of_domains_that_two_can_share(shown: Shown) -> None:
    """`overlap` = `n_shared` ÷ size of their union; without the domains `other` and
    `unknown`, which name nothing that two can share."""
    *counts, share = overlap(shown, *OVERLAP)
    assert counts == [2, 2, 1]
    assert share == pytest.approx(1 / 3)


@given(goals("""
    02-01 client sleep active a
    02-01 client sleep active b
    02-01 therapist sleep
"""))  # fmt: skip
def test_domains_are_counted_not_rows(shown: Shown) -> None:
    """`n_client_goals`, `n_therapist_goals` = sizes of the two sets at as-of (domains,
    not rows)."""
    assert overlap(shown, *OVERLAP) == (1, 1, 1, 1.0)


@given(goals("""
    02-01 client sleep active s
    02-01 client work achieved w
    02-01 client health closed h
    02-01 client self dropped d
    02-01 client meaning odd m
    03-01 client sleep closed s
    02-01 therapist work
"""))  # fmt: skip
def test_closed_and_dropped_goals_do_not_stand(shown: Shown) -> None:
    """Goals that stand in any status but `closed` and `dropped` (`achieved` stays; so
    does none). On a date a goal stands as its latest row."""
    assert overlap(shown, *OVERLAP) == (2, 1, 1, 0.5)


@given(goals("02-01 client sleep"), name="one")
@given(goals("02-01 client other"), name="nothing")
def test_an_empty_side_has_no_overlap(shown: Shown) -> None:
    """`overlap` is null if either set is empty; `overlap_first` null if there is no date;
    `is_inconsistent` null if `overlap` is null."""
    rest = ("overlap_first", "n_therapist_revisions", "is_inconsistent")
    assert overlap(shown["one"], *OVERLAP, *rest) == (1, 0, 0, None, None, 0, None)
    assert overlap(shown["nothing"], *OVERLAP, *rest) == (0, 0, 0, None, None, 0, None)


@given(goals("""
    02-01 client sleep
    02-03 therapist work active w
    02-04 therapist sleep
    02-05 therapist work closed w
"""))  # fmt: skip
def test_the_first_overlap_is_that_of_the_first_date_with_both(shown: Shown) -> None:
    """`overlap_first` = overlap at the end of the first date on which both sets are not
    empty."""
    assert overlap(shown, "overlap_first", "overlap") == (0.0, 1.0)


@given(goals("""
    02-01T09:00 client sleep
    02-01T09:00 therapist work active w
    02-01T17:00 therapist sleep active w
    03-01T09:00 therapist sleep active w
    04-01T09:00 therapist health active w
    04-01T17:00 therapist sleep active w
    05-01T09:00 therapist safety active w
    06-01T09:00 therapist safety closed w
"""))  # fmt: skip
def test_a_revision_is_a_date_at_whose_end_the_set_differs(shown: Shown) -> None:
    """`n_therapist_revisions` = number of dates, after the first with a non-empty
    therapist set, at whose end that set differs from the day before."""
    assert overlap(shown, "n_therapist_revisions", "overlap_first") == (2, 1.0)


@given(goals("""
    02-01 client sleep
    02-01 therapist work active a
    03-01 therapist safety active a
"""), name="still")  # fmt: skip
@given(goals("""
    02-01 client sleep
    02-01 therapist work
"""), name="never_revised")  # fmt: skip
@given(goals("""
    02-01 client sleep
    02-01 client work
    02-01 therapist work active a
    03-01 therapist sleep active a
"""), name="half")  # fmt: skip
def test_goals_that_differ_despite_a_revision_are_inconsistent(shown: Shown) -> None:
    """`is_inconsistent` = `overlap` < 0.5 (`goals.inconsistent_below`) and ≥ 1
    revision."""
    said = [
        overlap(shown[name], "overlap", "n_therapist_revisions", "is_inconsistent")
        for name in ("still", "never_revised", "half")
    ]
    assert said == [(0.0, 1, True), (0.0, 0, False), (0.5, 1, False)]


@given(goals("""
    02-01 client sleep
    07-01 client work
    02-01 observer safety
"""))  # fmt: skip
def test_later_goals_and_those_of_others_do_not_count(shown: Shown) -> None:
    """Other raters are ignored and counted; recorded on or before as-of."""
    assert overlap(shown, *OVERLAP)[:2] == (1, 0)
    assert shown.night.finding("goal_wrong_rater") >= 1


def _placed(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01", "2026-03-31", "completed", name="G-first")
    clinic.episode(client, "2026-04-01", name="G-second")
    clinic.session(client, "2026-02-01")
    clinic.goal(client, "client", "sleep", "2026-02-01", episode="G-second")
    clinic.goal(client, "client", "work", "2026-02-01")
    clinic.goal(client, "client", "safety", "2026-03-31")
    clinic.goal(client, "client", "health", "2025-12-31")


@given(_placed)
def test_a_goal_belongs_to_the_episode_it_names_else_by_its_date(shown: Shown) -> None:
    """A row belongs to the reported episode it names, if that is the same client's; else
    by its date as in B9; else to none."""
    assert shown.of(
        "select opened_on::varchar, n_client_goals from alliance.fct_goal_overlap"
        " join core.fct_episode using (episode_key) where client_key = @ order by 1"
    ) == [("2026-01-01", 2), ("2026-04-01", 1)]


def _anothers(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-02-01")
    clinic.goal(client, "client", "sleep", "2026-02-10", episode="G-second")
    clinic.goal(client, "client", "work", "2026-01-02")
    clinic.goal(client, "client", "safety", "2026-01-01")
    clinic.goal(client, "client", "health", "2026-05-02")
    clinic.goal(client, "client", "meaning", "2026-05-03")


@given(_anothers)
def test_a_derived_episode_takes_goals_around_its_sessions(shown: Shown) -> None:
    """B9: `opened_on` − 30 days ≤ date ≤ last attended + 90 days; another client's
    episode is none."""
    assert overlap(shown, "n_client_goals") == (3,)


def _local(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01", "2026-02-01", "completed")
    clinic.session(client, "2026-01-15", zone="America/Los_Angeles")
    clinic.goal(client, "client", "sleep", "2026-02-02T05:00:00Z")
    clinic.goal(client, "client", "work", "2026-02-02T08:00:00Z")


@given(_local)
def test_a_goal_is_dated_in_the_zone_of_the_last_session(shown: Shown) -> None:
    """Recorded date: local, in the zone of B2 for a form that names neither session nor
    therapist."""
    assert overlap(shown, "n_client_goals") == (1,)
