"""D. Ruptures: one engine, many methods."""

import pytest

from spec.conftest import Shown, given


@given("4.25 4.25 4.25 3.50 4.00")
def test_the_worked_example_is_a_resolved_v(shown: Shown) -> None:
    """Worked: 4.25, 4.25, 4.25, 3.50, 4.00 → B 4.25, trigger level 3.6364, rupture at
    the fourth (drop 0.75, ratio 1.222, possible), R 3.9432, repaired at the fifth:
    resolved, `v`."""
    ((onset, baseline, drop, ratio, *rest),) = shown.ruptures(
        "default_rc3", "onset_session_number", "baseline", "drop_size", "drop_ratio",
        "strength", "status", "shape", "sessions_to_repair")  # fmt: skip
    assert (onset, baseline, drop) == (4, 4.25, 0.75)
    assert ratio == pytest.approx(0.75 / 0.6136)
    assert rest == ["possible", "resolved", "v", 1]
