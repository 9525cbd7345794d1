"""A night killed at five moments, then run again: the same tables as undisturbed.

Thirty more are in ``make prove`` (``tests/chaos/prove_kills.py``).
"""

import random
from pathlib import Path

from lib.nights import Reader, kill_night
from lib.snapshots import published
from lib.two_nights import TONIGHT, two_nights


def test_a_killed_night_loses_nothing_and_no_reader_notices(tmp_path: Path) -> None:
    nights = two_nights(tmp_path)
    home = nights.disturbed_home(tmp_path / "killed")
    moments = random.Random(20261124)
    with Reader(home.path) as reader:
        killed = [
            kill_night(
                home.path,
                TONIGHT,
                moments.uniform(0.3, 0.75 * nights.night_s),
                group=n % 2 > 0,
            )
            for n in range(5)
        ]
        home.run("night", "--as-of", TONIGHT)
    assert any(killed)  # a machine may have become faster meanwhile
    assert reader.failures == []
    assert reader.n_looks > 20
    assert reader.seen <= nights.generations
    assert published(home.path) == nights.expected
    assert not list(home.path.rglob("*.building"))
