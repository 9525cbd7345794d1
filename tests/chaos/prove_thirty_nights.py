"""Prove: thirty nights of the live system, with late, refused, empty and burst days.

``make prove``; it needs a C compiler. A line of ``records/thirty_nights.jsonl`` is one day
of one home, which lies beside it and is gone on with. The four servers run from the first
day to the last, and the clock that they share is moved: to 03:29, when the day's exports
are dropped, and, once nothing runs, to 06:29. All else they do by themselves. At the end
the ledger, the digests, the alerts and the tables must be those of the thirty days.
"""

import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import ROOT, Home
from lib.live import Live, drop, is_idle, live_system, runs_of, wait_until
from lib.moved_clock import SharedClock
from lib.proving import Record
from lib.small_nights import settings_of
from lib.snapshots import published
from lib.thirty_nights import N_NIGHTS, Day, days, lay_days
from lib.two_nights import canaries_outside
from rapport import alerts
from rapport.state import ControlState

PLACE = ROOT / ".prove" / "thirty_nights"
WITHIN_S = 1200


def live_through(live: Live, day: Day, clock: SharedClock) -> dict[str, Any]:
    """Drop the day's exports, let its night and its morning come; say what was seen."""
    home = live.home
    exports = _exports(day)
    clock.jump_to(day.at(3, 29))
    drop(home, exports)
    n_due = sum(len(_exports(past)) for past in days()[: day.number])
    wait_until(lambda: len(live.state.deliveries()) >= n_due, within_s=WITHIN_S)
    if day.number > 1 and len(exports) > 1:
        # A burst goes on while the night runs: what is there already changes nothing.
        drop(home, exports[:1])
    wait_until(lambda: _is_over(home, "build_marts", day, 3, 30), within_s=WITHIN_S)
    clock.jump_to(day.at(6, 29) + timedelta(seconds=50))
    wait_until(lambda: _is_over(home, "watch_morning", day, 6, 30), within_s=WITHIN_S)
    told = sorted(
        one.code
        for one in alerts.alerts(settings_of(home))
        if one.at.startswith(day.on.isoformat())
    )
    night = live.state.nights()[-1]
    has_digest = (home.path / "digest" / f"{day.on}.html").exists()
    is_good = (
        len(live.state.deliveries()) == n_due
        and (night.as_of, night.outcome) == (day.on, day.outcome)
        and told == sorted(day.alerts)
        and has_digest  # of a refused night too: it says so
    )
    return {
        "n": 1, "day": day.number, "exports": len(exports), "outcome": night.outcome,
        "alerts": told, "has_digest": has_digest, "good": is_good,
    }  # fmt: skip


def _exports(day: Day) -> list[Path]:
    found = [PLACE / "exports" / name for name in day.exports]
    opening = sorted((PLACE / "exports").glob("day-01-*")) if day.number == 1 else []
    return found + opening


def _is_over(home: Home, dag: str, day: Day, hour: int, minute: int) -> bool:
    """Tell whether the run of an hour came to an end, and nothing that it led to runs."""
    since = day.at(hour, minute)
    n_ended = sum(runs_of(home, dag, state, since) for state in ("success", "failed"))
    return n_ended > 0 and is_idle(home)


def end(home: Home) -> dict[str, Any]:
    """Hold the home that thirty nights left against what the thirty days were."""
    state = ControlState(home.path)
    exports = [p.name for p in (PLACE / "exports").iterdir()]
    ledger = state.ledger()
    delivered = sum(
        max(0, len(path.read_text("utf-8").splitlines()) - 1)
        for path in (PLACE / "exports").glob("*/*.csv")
    )
    lived = published(home.path)
    day = days()[-1].on
    home.run("night", "--full-refresh", "--as-of", day.isoformat())
    found = {
        "each_taken_in_once": len(state.deliveries()) == len(exports),
        "every_row_counted": sum(row[4] for row in ledger) == delivered,
        "sums": all(row[4] == sum(row[5:10]) for row in ledger),
        "same_as_built_anew": published(home.path) == lived,
        "digests": len(list((home.path / "digest").glob("2026-*.html"))) == N_NIGHTS,
        "canaries_in": canaries_outside(home.path),
    }
    good = all(value for name, value in found.items() if name != "canaries_in")
    return {"n": 0, "day": "end", **found, "good": good}


def main() -> int:
    """Go on with the day that comes next; hold the end against the days."""
    record = Record("thirty_nights")
    home = Home(PLACE / "home")
    if not record.lines:
        shutil.rmtree(PLACE, ignore_errors=True)
        lay_days(PLACE)
        (home.path / "inbox" / "canonical").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        clock = SharedClock(Path(place))
        os.environ.update(clock.environment)
        to_come = days()[record.n :]
        if to_come:
            clock.jump_to(to_come[0].at(3, 0))
            for path in (ROOT / "dags").glob("*.py"):
                # One that is changed after now is read again and again.
                os.utime(path, (to_come[0].at(0, 0).timestamp(),) * 2)
            with live_system(home) as live:
                # A task that runs is told a token that is good for minutes, not for a day.
                wait_until(lambda: is_idle(home), within_s=WITHIN_S)
                for day in to_come:
                    record.add(live_through(live, day, clock))
        if record.lines[-1]["day"] != "end":
            clock.jump_to(days()[-1].at(7, 0))
            record.add(end(home))
    print(f"thirty_nights: {record.n} days, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
