"""Prove: a real full disk at each step of a night, at several levels of room.

``make prove``. A line of ``records/full_disk.jsonl`` is one level: at each of seven steps
the disk is filled, the step says so or had room enough, the snapshot that stood stands, and
the same step completes once there is room. What the night came to is held against an
undisturbed one.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.full_night import STEPS, is_held, night_lines
from lib.proving import prove
from lib.snapshots import published
from lib.two_nights import TwoNights

LEVELS = (0, 64_000, 300_000, 1_000_000, 3_000_000, 8_000_000, 16_000_000, 24_000_000)


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Fill the disk to one level at each step."""
    free = LEVELS[number % len(LEVELS)]
    lines = night_lines(nights, folder, free)
    is_same = published(folder / "out") == nights.expected
    return {
        "n": 1,
        "free": free,
        "full": [line["step"] for line in lines if line["is_told"]],
        "had_room": [line["step"] for line in lines if not line["is_told"]],
        "faults": [line for line in lines if not is_held(line)],
        "same_tables": is_same,
        "good": all(map(is_held, lines)) and len(lines) == len(STEPS) and is_same,
    }


if __name__ == "__main__":
    sys.exit(prove("full_disk", len(LEVELS), trial))
