"""H. Cohorts of episodes, and the trajectory by session."""

from spec.conftest import Shown, given


@given("4.25 3.0")
def test_too_few_scores_are_a_group_of_their_own(shown: Shown) -> None:
    """Clients whose forms are too few are a group of their own, never "no rupture"."""
    assert shown.cohort("default_rc3", "pattern") == ("insufficient",)
