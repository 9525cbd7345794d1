"""Prove: two nights at once, and writers of every kind while one runs.

``make prove``. A line of ``records/two_at_once.jsonl`` is a night that was started twice at
the same moment, with five commands that came while the one that won ran. The others exit
with 5 and words; what is published is what an undisturbed night publishes, though
deliveries were dropped meanwhile; the next ingest takes each of those in, once.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.contenders import contest, moments, same_moment, taken_in_once
from lib.proving import prove
from lib.snapshots import published
from lib.two_nights import TwoNights

N_TRIALS, N_CONTENDERS = 50, 5


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Start two nights, then contend with the one that runs."""
    home = nights.disturbed_home(folder / "home")
    night, code = same_moment(home)
    waits = moments(nights.night_s, N_CONTENDERS, f"contenders-{number}")
    found = contest(home, night, waits)
    late = [p.name for p in (home.path / "inbox" / "canonical").glob("late-*")]
    # A second night that came at the very end has published what was dropped meanwhile.
    is_other = found.outlived == "night"
    is_same = is_other or published(home.path) == nights.expected
    is_once = taken_in_once(home)
    return {
        "n": 1 + found.n_met,
        "codes": [code, *found.codes],
        "winner": night.returncode,
        "faults": found.faults,
        "n_late": len(late),
        "same_tables": is_same,
        "taken_in_once": is_once,
        "good": not found.faults
        and (code, night.returncode) == (5, 0)
        and is_same
        and is_once,
    }


if __name__ == "__main__":
    sys.exit(prove("two_at_once", N_TRIALS, trial))
