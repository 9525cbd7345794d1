"""C. What a session shows of the alliance, and the series that it belongs to."""

from spec.conftest import Shown, given


@given("4.25 4.25 4.25 3.50 4.00")
def test_a_session_inside_a_rupture_is_marked_up_to_its_repair(shown: Shown) -> None:
    """`in_open_rupture` is true from the onset up to, not including, the repair."""
    assert shown.sessions("session_number", "in_open_rupture", "baseline") == [
        (1, False, None),
        (2, False, None),
        (3, False, 4.25),
        (4, True, 4.25),
        (5, False, 4.25),
    ]


@given("4.25 4.25 2.0@T2 4.25")
def test_a_covering_therapist_starts_another_series(shown: Shown) -> None:
    """A covering therapist starts another series and does not disturb the first."""
    assert shown.ruptures("default_rc3", "onset_session_number") == []
