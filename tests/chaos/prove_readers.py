"""Prove: twenty readers while fifty nights are published; each look is of one snapshot.

``make prove``. Ten publishes a line of ``records/readers.jsonl``.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.proving import prove
from lib.readers import read_while_publishing
from lib.two_nights import TwoNights

N_PUBLISHES, N_AT_ONCE, N_READERS = 50, 10, 20


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Publish ten times over one home."""
    seen = read_while_publishing(
        nights.published_home(folder / "home"), N_READERS, N_AT_ONCE
    )
    is_good = not seen["n_failures"] and seen["fewest_looks"] and seen["most_marks"] > 1
    return {**seen, "good": bool(is_good)}


if __name__ == "__main__":
    sys.exit(prove("readers", N_PUBLISHES, trial))
