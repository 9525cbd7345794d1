"""Prove: SIGKILL at random moments of a night; what a night then comes to is the same.

``make prove``. A line of ``records/kills.jsonl`` is a round: yesterday's home is copied,
tonight is killed up to five times, so that what each kill leaves behind adds up, and then
a whole night runs. A moment is a share of the CPU that an undisturbed night uses. What is
killed is the leading process, one of its children, or all of them. A reader polls
throughout. Rounds go on until enough kills met a running night.
"""

import random
import secrets
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.nights import Reader, kill_night, left_behind
from lib.proving import prove
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights

N_WANTED, N_KILLS = 500, 5
WHOM = ("leader", "group", "child")


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Kill tonight five times, then let it run; return what was seen."""
    # Of the round, not of its number: sittings on two machines kill at other moments.
    seed = secrets.randbits(32)
    rng = random.Random(seed)
    home = nights.disturbed_home(folder / "home")
    kills = [
        (WHOM[(number * N_KILLS + place) % 3], rng.uniform(0.5, nights.night_cpu_s))
        for place in range(N_KILLS)
    ]
    with Reader(home.path) as reader:
        met = []
        for whom, after_cpu_s in kills:
            met.append(kill_night(home.path, TONIGHT, after_cpu_s, whom))
            if not met[-1]:  # the night ended first: there is none left to kill
                break
        home.run("night", "--as-of", TONIGHT)
    left = left_behind(home.path)
    line = {
        "kills": [
            f"{whom} after {cpu_s:.1f} CPU s" if was_met else f"{whom} came too late"
            for (whom, cpu_s), was_met in zip(kills, met, strict=False)
        ],
        "n": sum(met),
        "seed": seed,
        "n_looks": reader.n_looks,
        "n_failures": len(reader.failures),
        "only_whole_snapshots": reader.seen <= nights.generations,
        "same_tables": published(home.path) == nights.expected,
        "left_behind": left,
    }
    is_good = (
        line["same_tables"]
        and line["only_whole_snapshots"]
        and not reader.failures
        and reader.n_looks > 0
        and not left
    )
    return {**line, "good": is_good}


if __name__ == "__main__":
    sys.exit(prove("kills", N_WANTED, trial))
