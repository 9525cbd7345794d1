"""Prove: bursts of deliveries into the live system, scheduler and triggerer killed in each.

``make prove``. A line of ``records/bursts.jsonl`` is a burst of thirty deliveries, dropped
over some seconds into the real live system of one home. Each must be taken in once, and
everything that was delivered must lie in the snapshot that the system publishes by itself.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import Home
from lib.live import Live, drop, live_system, wait_until
from lib.proving import Record
from lib.two_nights import CANARIES, canaries_outside
from rapport.warehouse import open_snapshot

N_WANTED, N_AT_ONCE, WITHIN_S = 300, 30, 1200


def burst(live: Live, laid: Path, number: int) -> dict[str, Any]:
    """Drop thirty deliveries, kill two servers in the middle, wait; say what was seen."""
    rng = random.Random(20261129 + number)
    killed_after = sorted(rng.sample(range(N_AT_ONCE), 2))
    victims = rng.sample(["scheduler", "triggerer"], 2)
    known = {delivery.batch_id for delivery in live.state.deliveries()}
    started = time.monotonic()
    for place in range(N_AT_ONCE):
        drop(live.home, [_lay(laid, f"burst-{number:03}-{place:02}")])
        if place in killed_after:
            os.kill(live.pid(victims[killed_after.index(place)]), signal.SIGKILL)
        time.sleep(rng.uniform(0, 0.5))
    n_before = len(known) + N_AT_ONCE
    wait_until(lambda: len(live.state.deliveries()) >= n_before, within_s=WITHIN_S)
    taken_in_s = time.monotonic() - started
    wait_until(lambda: _n_clients(live) == n_before, within_s=WITHIN_S)
    ledger = [row for row in live.state.ledger() if row[0] not in known]
    n_delivered, n_loaded = (sum(row[place] for row in ledger) for place in (4, 5))
    line = {
        "n": len({row[0] for row in ledger}),
        "n_rows": n_delivered,
        "n_killed": len(victims),
        "taken_in_s": round(taken_in_s),
        "published_s": round(time.monotonic() - started),
    }
    is_good = line["n"] == N_AT_ONCE and len(ledger) == n_delivered == n_loaded == N_AT_ONCE  # fmt: skip
    return {**line, "good": is_good}


def _lay(folder: Path, name: str) -> Path:
    delivery = folder / name
    delivery.mkdir()
    person = dict(CANARIES, client_id=f"{CANARIES['client_id']}{name}")
    text = f"{','.join(person)}\n{','.join(person.values())}\n"
    (delivery / "clients.csv").write_text(text)
    return delivery


def _n_clients(live: Live) -> int:
    snapshot = live.home.path / "published" / "rapport.duckdb"
    if not snapshot.exists():
        return 0
    with open_snapshot(snapshot) as con:
        return int(con.execute("select count(*) from core.dim_client").fetchall()[0][0])


def main() -> int:
    """Go on until three hundred deliveries came in bursts; search the home at the end."""
    record = Record("bursts")
    if record.n < N_WANTED:
        with tempfile.TemporaryDirectory(prefix="bursts_") as place:
            home = Home(Path(place) / "home")
            laid = Path(place) / "laid"
            laid.mkdir()
            lines = []
            with live_system(home) as live:
                while record.n + sum(line["n"] for line in lines) < N_WANTED:
                    number = len(record.lines) + len(lines)
                    lines.append(burst(live, laid, number))
                    print(f"burst {number}: {lines[-1]}", flush=True)
            found = canaries_outside(home.path)
        for line in lines:
            record.add(line | {"canaries_in": found})
    print(f"bursts: {record.n} deliveries, {len(record.bad)} bursts did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
