"""Prove: thirty nights, a day after the other, with late, refused, empty and burst days.

``make prove``; it needs a C compiler. A line of ``records/thirty_nights.jsonl`` is one day
of one home, which lies beside it and is gone on with. The clock of each day's processes is
moved to 03:30 and to 06:30; they call what the DAGs call. At the end the ledger, the
digests, the alerts and the tables must be those of the thirty days.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import ROOT, Home
from lib import one_day
from lib.moved_clock import build_clock, clock_at
from lib.proving import Record
from lib.small_nights import settings_of
from lib.snapshots import published
from lib.thirty_nights import N_NIGHTS, Day, days, lay_days
from lib.two_nights import canaries_outside
from rapport import alerts
from rapport.state import ControlState

PLACE = ROOT / ".prove" / "thirty_nights"


def live(home: Path, day: Day, library: Path) -> dict[str, Any]:
    """Drop the day's exports, run its night and its morning; say what was seen."""
    n_told = len(alerts.alerts(settings_of(Home(home))))
    for name in day.exports:
        _drop(PLACE / "exports" / name, home)
    if day.number == 1:
        for more in sorted((PLACE / "exports").glob("day-01-*")):
            _drop(more, home)
    night = _run(home, "night", clock_at(library, day.at(3, 30)))
    if day.number > 1 and len(day.exports) > 1:
        # A burst goes on while the night runs: what is there already changes nothing.
        _drop(PLACE / "exports" / day.exports[0], home)
    _run(home, "morning", clock_at(library, day.at(6, 30)))
    told = [one.code for one in alerts.alerts(settings_of(Home(home)))[n_told:]]
    has_digest = (home / "digest" / f"{day.on}.html").exists()
    is_good = (
        night == day.outcome
        and tuple(told) == day.alerts
        and has_digest  # of a refused night too: it says so
    )
    return {
        "n": 1, "day": day.number, "exports": len(day.exports), "outcome": night,
        "alerts": told, "has_digest": has_digest, "good": is_good,
    }  # fmt: skip


def _drop(export: Path, home: Path) -> None:
    shutil.copytree(
        export, home / "inbox" / "canonical" / export.name, dirs_exist_ok=True
    )


def _run(home: Path, what: str, clock: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, one_day.__file__, str(home), what],
        env=os.environ | clock | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout.strip().splitlines()
    return said[-1] if done.returncode == 0 and said else done.stderr[-400:]


def end(home: Path) -> dict[str, Any]:
    """Hold the home that thirty nights left against what the thirty days were."""
    state = ControlState(home)
    exports = [p.name for p in (PLACE / "exports").iterdir()]
    ledger = state.ledger()
    delivered = sum(
        max(0, len(path.read_text("utf-8").splitlines()) - 1)
        for path in (PLACE / "exports").glob("*/*.csv")
    )
    lived = published(home)
    day = days()[-1].on
    Home(home).run("night", "--full-refresh", "--as-of", day.isoformat())
    found = {
        "each_taken_in_once": len(state.deliveries()) == len(exports),
        "every_row_counted": sum(row[4] for row in ledger) == delivered,
        "sums": all(row[4] == sum(row[5:10]) for row in ledger),
        "same_as_built_anew": published(home) == lived,
        "digests": len(list((home / "digest").glob("2026-*.html"))) == N_NIGHTS,
        "canaries_in": canaries_outside(home),
    }
    good = all(value for name, value in found.items() if name != "canaries_in")
    return {"n": 0, "day": "end", **found, "good": good}


def main() -> int:
    """Go on with the day that comes next; hold the end against the days."""
    record = Record("thirty_nights")
    home = PLACE / "home"
    if not record.lines:
        shutil.rmtree(PLACE, ignore_errors=True)
        lay_days(PLACE)
        (home / "inbox" / "canonical").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        library = build_clock(Path(place))
        for day in days()[record.n :]:
            record.add(live(home, day, library))
    if record.lines[-1]["day"] != "end":
        record.add(end(home))
    print(f"thirty_nights: {record.n} days, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
