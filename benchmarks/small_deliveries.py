"""Many small deliveries in one ingest: milliseconds each, picked up and ledgered.

For whoever looks after the door. Usage: python benchmarks/small_deliveries.py [N] > result.json

Each delivery is one file of 20 measures, as a questionnaire platform sends it after a
session. The target is 50 ms each at 2,000 deliveries, on an otherwise idle machine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from rapport import night
from rapport.settings import Settings
from rapport.state import ControlState

_HEADER = "administration_id,client_id,session_id,instrument,rater,administered_at,total_reported\n"


def lay(home: Path, n: int) -> None:
    """Lay ``n`` deliveries into the inbox."""
    for number in range(n):
        folder = home / "inbox" / "canonical" / f"d{number:06}"
        folder.mkdir(parents=True)
        rows = "".join(
            f"M{number}-{row},A{(number * 7 + row) % 900},S{number}-{row},WAI-SR,client,"
            f"2026-01-{1 + number % 28:02}T{8 + row % 10:02}:00,{20 + row}\n"
            for row in range(20)
        )
        (folder / "measures.csv").write_text(_HEADER + rows)
        (folder / "_SUCCESS").touch()


def main(n: int) -> None:
    """Ingest ``n`` deliveries; print one JSON document."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        lay(home, n)
        settings = Settings(home=home)
        began, cpu = time.monotonic(), time.process_time()
        night.ingest(settings)
        wall, used = time.monotonic() - began, time.process_time() - cpu
        known = ControlState(home).deliveries()
        assert len(known) == n
        assert {delivery.outcome for delivery in known} == {"loaded"}
    print(
        json.dumps(
            {
                "n_deliveries": n,
                "wall_ms_each": round(1000 * wall / n, 1),
                "cpu_ms_each": round(1000 * used / n, 1),
                "load_average": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
