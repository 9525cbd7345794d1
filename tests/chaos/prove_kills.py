"""Prove: SIGKILL at 30 random moments of a night; what a night then comes to is the same.

``make prove``. In a round yesterday's home is copied, tonight is killed five times, so
that what each kill leaves behind adds up, and then a whole night runs. A reader polls
throughout. Rounds go on until thirty kills met a running night. Each round is written to
``.prove/kills.json``, so that it can be stopped and started again.
"""

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import ROOT
from lib.nights import Reader, kill_night
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights, two_nights

N_WANTED, N_KILLS = 30, 5
RECORD = ROOT / ".prove" / "kills.json"


def kill_round(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Kill tonight five times, then let it run; return what was seen."""
    moments = random.Random(20261124 + number)
    after_s = [moments.uniform(0.2, nights.night_s) for _ in range(N_KILLS)]
    home = nights.disturbed_home(folder / "home")
    with Reader(home.path) as reader:
        was_running = [
            kill_night(home.path, TONIGHT, moment, group=place % 2 > 0)
            for place, moment in enumerate(after_s)
        ]
        home.run("night", "--as-of", TONIGHT)
    return {
        "after_s": [round(moment, 2) for moment in after_s],
        "n_running": sum(was_running),
        "n_looks": reader.n_looks,
        "n_failures": len(reader.failures),
        "only_whole_snapshots": reader.seen <= nights.generations,
        "same_tables": published(home.path) == nights.expected,
    }


def n_running(record: list[dict[str, Any]]) -> int:
    """Return how many kills met a night that was still running."""
    return sum(one["n_running"] for one in record)


def main() -> int:
    """Go on until thirty running nights were killed; say how it went."""
    RECORD.parent.mkdir(exist_ok=True)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    with tempfile.TemporaryDirectory() as place:
        nights = two_nights(Path(place)) if n_running(record) < N_WANTED else None
        while nights and n_running(record) < N_WANTED:
            folder = Path(place) / "kill"
            record.append(kill_round(nights, folder, len(record)))
            shutil.rmtree(folder)
            RECORD.write_text(json.dumps(record, indent=1))
            print(f"round {len(record)}: {record[-1]}", flush=True)
    good = [
        one
        for one in record
        if one["same_tables"]
        and one["only_whole_snapshots"]
        and not one["n_failures"]
        and one["n_looks"]
    ]
    n_looks = sum(one["n_looks"] for one in record)
    print(
        f"{n_running(record)} running nights killed; {len(good)} of {len(record)} rounds"
        f" came to the same tables; a reader looked {n_looks:,} times: {RECORD}"
    )
    return 0 if len(good) == len(record) else 1


if __name__ == "__main__":
    sys.exit(main())
