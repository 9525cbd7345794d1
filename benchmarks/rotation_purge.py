"""What a rotation and an erasure cost: seconds, and bytes written anew.

``python benchmarks/rotation_purge.py HOME`` on a RAPPORT_HOME that has published a generated
clinic (``rapport demo generate --clients 62000`` is a million sessions). HOME is altered: give a
copy. It rotates the key, then erases the client who was taken in first; each step's own
lines go to stderr. With ``--without-night`` nothing is built and published afterwards, so that what is
measured is the rotation and the erasure alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rapport.privacy import Vault
from rapport.purge import purge_client
from rapport.rotation import rotate_key
from rapport.settings import load_settings
from rapport.state import ControlState
from rapport.warehouse.connections import published_path


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--without-night", action="store_true")
    asked = parser.parse_args()
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(asked.home)})
    if asked.without_night:
        published_path(settings).unlink(missing_ok=True)
    state = ControlState(settings.home)
    rows = {name: 0 for _, name, _ in state.bronze_rows()}
    for _, name, n in state.bronze_rows():
        rows[name] += n
    found: dict[str, Any] = {
        "sessions": rows.get("sessions", 0),
        "rows": sum(rows.values()),
    }
    rotated, found["rotation"] = measured(lambda: rotate_key(settings, "benchmark"))
    found["rotation"] |= {"n_rows": rotated.n_rows, "n_bytes": rotated.n_bytes}
    _, source, client_id = next(iter(Vault(settings.home).people()))
    purged, found["erasure"] = measured(
        lambda: purge_client(settings, source, client_id, "benchmark")
    )
    n_bytes = sum(n for name, n in purged.counts.items() if name.endswith("_bytes"))
    n_files = sum(n for name, n in purged.counts.items() if name.endswith("_files"))
    found["erasure"] |= {
        "n_files": n_files,
        "n_bytes": n_bytes,
        "is_proved": purged.is_proved,
    }
    print(json.dumps(found, indent=2))


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run some work; return what it gave, and its wall and CPU seconds."""

    def cpu() -> float:
        said = [
            resource.getrusage(who)
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        return sum(one.ru_utime + one.ru_stime for one in said)

    began, cpu_began = time.monotonic(), cpu()
    result = work()
    return result, {
        "wall_seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(cpu() - cpu_began, 1),
    }


if __name__ == "__main__":
    main()
