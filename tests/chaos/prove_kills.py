"""Prove: SIGKILL at 30 random moments of a night, each followed by a whole night.

``make prove``. Each kill has a fresh copy of yesterday's home; a reader polls throughout.
What is proved is written to ``.prove/kills.json`` after each, so that it can be stopped
and started again.
"""

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import ROOT
from lib.nights import Reader, kill_night
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights, two_nights

N_KILLS = 30
RECORD = ROOT / ".prove" / "kills.json"


def kill_once(nights: TwoNights, folder: Path, number: int) -> dict[str, object]:
    """Kill one night and run it again; return what was seen."""
    moments = random.Random(20261124 + number)
    after_s = moments.uniform(0.2, nights.night_s)
    home = nights.disturbed_home(folder / "home")
    with Reader(home.path) as reader:
        was_running = kill_night(home.path, TONIGHT, after_s, group=number % 2 > 0)
        home.run("night", "--as-of", TONIGHT)
    return {
        "after_s": round(after_s, 2),
        "was_running": was_running,
        "n_looks": reader.n_looks,
        "n_failures": len(reader.failures),
        "only_whole_snapshots": reader.seen <= nights.generations,
        "same_tables": published(home.path) == nights.expected,
    }


def main() -> int:
    """Kill until thirty are recorded; say how it went."""
    RECORD.parent.mkdir(exist_ok=True)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    with tempfile.TemporaryDirectory() as place:
        nights = two_nights(Path(place)) if len(record) < N_KILLS else None
        while nights and len(record) < N_KILLS:
            folder = Path(place) / "kill"
            record.append(kill_once(nights, folder, len(record)))
            shutil.rmtree(folder)
            RECORD.write_text(json.dumps(record, indent=1))
            print(f"kill {len(record)} of {N_KILLS}: {record[-1]}", flush=True)
    good = [
        kill
        for kill in record
        if kill["same_tables"]
        and kill["only_whole_snapshots"]
        and not kill["n_failures"]
        and kill["n_looks"]
    ]
    n_running = sum(bool(kill["was_running"]) for kill in record)
    n_looks = sum(int(kill["n_looks"]) for kill in record)
    print(
        f"{len(good)} of {N_KILLS} nights killed ({n_running} while running) came to the"
        f" same tables; a reader looked {n_looks:,} times: {RECORD}"
    )
    return 0 if len(good) == N_KILLS else 1


if __name__ == "__main__":
    sys.exit(main())
