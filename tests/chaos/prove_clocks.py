"""Prove: clocks that jump, daylight saving, a leap day, a host in another zone: same tables.

``make prove``; it needs a C compiler. A line of ``records/clocks.jsonl`` is one cell of the
matrix: yesterday's home has its night on a machine whose zone and wall clock are those of
the cell, and what is published is what an undisturbed night publishes.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.moved_clock import build_clock, clock_at, now_under
from lib.proving import prove
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights
from rapport.state import ControlState


@dataclass(frozen=True)
class Cell:
    """One machine: its zone, where its clock stands, and by how much it jumps tonight."""

    name: str
    zone: str = "UTC"
    clock: datetime | None = None
    jump_s: int = 0


def _at(*said: int) -> datetime:
    return datetime(*said, tzinfo=UTC)


CELLS = (
    Cell("host in New York", "America/New_York"),
    Cell("host 14 hours ahead", "Pacific/Kiritimati"),
    Cell("host 11 hours behind", "Pacific/Pago_Pago"),
    Cell("host on a quarter of an hour", "Asia/Kathmandu"),
    Cell("through the missing hour", "America/New_York", _at(2026, 3, 8, 6, 59, 50)),
    Cell("through the repeated hour", "America/New_York", _at(2026, 11, 1, 5, 59, 50)),
    Cell("into a leap day", "UTC", _at(2028, 2, 28, 23, 59, 50)),
    Cell("out of a leap day", "Pacific/Kiritimati", _at(2028, 2, 29, 9, 59, 50)),
    Cell("into a new year", "UTC", _at(2026, 12, 31, 23, 59, 50)),
    Cell("a year before yesterday's night", "UTC", _at(2025, 6, 30, 3, 30)),
    Cell("ten years on", "UTC", _at(2036, 6, 30, 3, 30)),
    Cell("a clock that was never set", "UTC", _at(1970, 1, 2, 0, 0)),
    Cell("two hours back within the night", "UTC", _at(2026, 7, 1, 3, 30), -7200),
    Cell("two days on within the night", "UTC", _at(2026, 7, 1, 3, 30), 172_800),
)


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Run tonight on the machine of one cell."""
    cell = CELLS[number % len(CELLS)]
    home = nights.disturbed_home(folder / "home")
    moved: dict[str, str] = {}
    if cell.clock is not None:
        library = build_clock(folder)
        moved = clock_at(library, cell.clock, jump_s=cell.jump_s, after_s=nights.night_s / 2)  # fmt: skip
        assert abs(now_under(moved) - cell.clock).total_seconds() < 60
    done = subprocess.run(
        [str(Path(sys.executable).with_name("rapport")), "night", "--as-of", TONIGHT],
        env=os.environ | {"RAPPORT_HOME": str(home.path), "TZ": cell.zone} | moved,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    is_same = published(home.path) == nights.expected
    nights_run = ControlState(home.path).nights()
    run = next(run for run in nights_run if run.as_of.isoformat() == TONIGHT)
    return {
        "n": 1,
        "cell": cell.name,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "code": done.returncode,
        "said": done.stderr[-600:] if done.returncode else "",
        "same_tables": is_same,
        "good": done.returncode == 0 and is_same,
    }


if __name__ == "__main__":
    sys.exit(prove("clocks", len(CELLS), trial))
