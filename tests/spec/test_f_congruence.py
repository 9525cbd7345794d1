"""F. Client's and therapist's view of the alliance, side by side."""

from datetime import timedelta

import pytest

from spec.conftest import LAST_SESSION, Clinic, Draw, Shown, answers, given


def pairs(drawing: str, instrument: str = "WAI-SR") -> Draw:
    """Draw weekly sessions with ``client>therapist`` marks; one side may be empty."""

    def draw(clinic: Clinic, client: str) -> None:
        marks = drawing.split()
        for n, mark in enumerate(marks):
            day = str(LAST_SESSION - timedelta(weeks=len(marks) - 1 - n))
            session = clinic.session(client, day)
            for rater, said in zip(
                ("client", "therapist"), mark.split(">"), strict=True
            ):
                if said:
                    clinic.form(client, instrument, day, answers(instrument, said),
                                rater=rater, session=session)  # fmt: skip

    return draw


def congruence(shown: Shown, component: str, *columns: str) -> tuple:
    (row,) = shown.of(
        f"select {', '.join(columns)} from alliance.fct_congruence"
        " join core.fct_episode using (episode_key)"
        f" where client_key = @ and component = '{component}'"
    )
    return row


@given(pairs("4>3 4> 4>4 >4 3>4.5"))
def test_a_pair_is_a_session_that_both_rated(shown: Shown) -> None:
    """A pair is the same session, both valid. `mean_gap` is of therapist − client,
    `abs_gap` the mean of |gap|."""
    n_pairs, mean_gap, abs_gap = congruence(
        shown, "total", "n_pairs", "mean_gap", "abs_gap"
    )
    assert n_pairs == 3
    assert mean_gap == pytest.approx(0.5 / 3)
    assert abs_gap == pytest.approx(2.5 / 3)


@given(pairs("4>3 4>3"))
def test_fewer_than_three_pairs_have_no_gap(shown: Shown) -> None:
    """`mean_gap`, `abs_gap`, `direction` need ≥ 3 pairs, else null."""
    columns = ("n_pairs", "mean_gap", "abs_gap", "direction", "correlation")
    assert congruence(shown, "bond", *columns) == (2, None, None, None, None)


@given(pairs("4> >4"))
def test_without_a_pair_there_is_no_row(shown: Shown) -> None:
    """One row for each component with ≥ 1 pair."""
    assert shown.of(
        "select 1 from alliance.fct_congruence join core.fct_episode"
        " using (episode_key) where client_key = @"
    ) == []  # fmt: skip


@given(pairs("3.5>4 3.5>4 3.5>4"), name="higher")
@given(pairs("3.5>4 3.5>4 3.5>3.75"), name="nearly")
@given(pairs("4>3.5 4>3.5 4>3.5"), name="lower")
@given(pairs("4>4.75 4>4.75 4>4.75", "WAI-S"), name="wai_s")
@given(pairs("4>4.5 4>4.75 4>4.75", "WAI-S"), name="wai_s_nearly")
def test_the_direction_begins_at_half_a_unit(shown: Shown) -> None:
    """`direction`: mean_gap ≥ 0.5·u therapist_higher; ≤ −0.5·u client_higher; else
    aligned. On the WAI-S, u is 1.5."""
    said = {
        name: congruence(shown[name], "total", "direction")[0]
        for name in ("higher", "nearly", "lower", "wai_s", "wai_s_nearly")
    }
    assert said == {
        "higher": "therapist_higher",
        "nearly": "aligned",
        "lower": "client_higher",
        "wai_s": "therapist_higher",
        "wai_s_nearly": "aligned",
    }


@given(pairs("1>2 2>2 3>4 4>3 5>5"), name="five")
@given(pairs("1>2 2>2 3>4 4>3"), name="four")
@given(pairs("3>1 3>2 3>3 3>4 3>5"), name="flat")
def test_correlation_needs_five_pairs_that_vary(shown: Shown) -> None:
    """`correlation` (Pearson) needs ≥ 5 pairs and variance > 1e-12 on both sides."""
    (five,) = congruence(shown["five"], "total", "correlation")
    assert five == pytest.approx(7 / 68**0.5)
    assert congruence(shown["four"], "total", "correlation") == (None,)
    assert congruence(shown["flat"], "total", "correlation") == (None,)


@given(pairs("3/4/4>4/4/4 3/4/4>4/4/4"), name="twice")
@given(pairs("4/4/4>3/4/4 4/4/4> 4/4/4>2/4/4"), name="apart")
@given(pairs("3/4/4>4/4/4 4/4/4>3/4/4 3/4/4>4/4/4"), name="turning")
@given(pairs("3/4/4>4/4/4 3/4/4>3.75/4/4 3/4/4>4/4/4"), name="between")
@given(pairs("3/4/4>5/4/4"), name="once")
@given(pairs("3/4/4>4.25/4/4 3/4/4>4.25/4/4", "WAI-S"), name="wai_s")
@given(pairs("3/4/4>4.5/4/4 3/4/4>4.5/4/4", "WAI-S"), name="wai_s_far")
def test_two_far_pairs_in_a_row_are_a_goal_mismatch(shown: Shown) -> None:
    """`goal_mismatch`: two consecutive pairs with |gap| ≥ 1·u and the same sign, anywhere
    in the episode → true; false with ≥ 2 pairs otherwise; null with fewer."""
    said = {
        name: congruence(shown[name], "goal", "goal_mismatch")[0]
        for name in (
            "twice",
            "apart",
            "turning",
            "between",
            "once",
            "wai_s",
            "wai_s_far",
        )
    }
    assert said == {
        "twice": True,
        "apart": True,
        "turning": False,
        "between": False,
        "once": None,
        "wai_s": False,
        "wai_s_far": True,
    }


@given(pairs("3>4 3>4 3>4"))
def test_a_mismatch_is_of_goals_alone(shown: Shown) -> None:
    """`goal_mismatch` only on component `goal` (null elsewhere)."""
    assert congruence(shown, "goal", "goal_mismatch") == (True,)
    for component in ("total", "task", "bond"):
        assert congruence(shown, component, "goal_mismatch") == (None,)


@given(pairs("36>38 36>38 36>38", "SRS"))
def test_an_instrument_without_a_therapist_form_has_no_pairs(shown: Shown) -> None:
    """SRS therapist forms do not exist (`wrong_rater`)."""
    assert shown.of(
        "select 1 from alliance.fct_congruence join core.fct_episode"
        " using (episode_key) where client_key = @"
    ) == []  # fmt: skip
    assert shown.of(
        "select distinct invalid_reason from core.fct_measure_score"
        " where client_key = @ and rater = 'therapist'"
    ) == [("wrong_rater",)]
