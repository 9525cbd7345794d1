"""Prove: bit flips, cuts and zeroed blocks in every store are named, and mended.

``make prove``. A line of ``records/damage.jsonl`` is one home: ten damages in bronze, the
control state, the snapshot, the history, the kept database and the candidate. Each is
named; what is mended is mended from what is sound; the tables end as undisturbed.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.damaged_home import damage_everything
from lib.proving import prove
from lib.two_nights import TwoNights

N_TRIALS = 200


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Damage each store of a home that both nights have gone through."""
    home = nights.published_home(folder / "home")
    found = damage_everything(home, nights.expected, f"damage-{number}")
    return {
        "n": len(found.tried),
        "tried": found.tried,
        "faults": found.faults,
        "good": not found.faults,
    }


if __name__ == "__main__":
    sys.exit(prove("damage", N_TRIALS, trial))
