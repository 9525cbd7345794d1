"""Time and memory of one safe_harbor package of a million sessions, and of its check.

    PYTHONPATH=tests python benchmarks/extract_million.py FOLDER [PERSONS]

The snapshot is laid by hand (tests/lib/extract_home.py): ten weekly sessions a person,
scores drawn from many values, so that several rungs are tried.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from lib.extract_home import TODAY, lay_home, spec
from rapport.extracts.lifecycle import (
    approve_extract,
    release_extract,
    request_extract,
    review_extract,
)
from rapport.extracts.verify import passed, verify_package

_SCORES = (
    "update alliance.fct_alliance_session set client_total ="
    " 1 + (hash(session_key) % 49) / 12.0, client_goal ="
    " 1 + (hash(session_key || 'g') % 17) / 4.0, client_task ="
    " 1 + (hash(session_key || 't') % 17) / 4.0, client_bond ="
    " 1 + (hash(session_key || 'b') % 17) / 4.0",
)


def main() -> None:
    """Lay the home, then time request, release and verify."""
    home, persons = Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 100_000
    settings = lay_home(home, persons, _SCORES)
    (home / "request.toml").write_text(spec())
    figures: dict[str, float | bool | object] = {"sessions": 10 * persons}
    began, cpu = time.monotonic(), time.process_time()
    waiting = request_extract(settings, home / "request.toml", TODAY)
    figures["request_s"] = round(time.monotonic() - began, 1)
    figures["request_cpu_s"] = round(time.process_time() - cpu, 1)
    figures["rung"] = review_extract(settings, waiting.request_id)["report"]["rung"]
    approve_extract(settings, waiting.request_id, "Grace Hopper", TODAY)
    folder = release_extract(settings, waiting.request_id, TODAY)
    began, cpu = time.monotonic(), time.process_time()
    figures["passed"] = passed(verify_package(folder, None, None, TODAY))
    figures["verify_s"] = round(time.monotonic() - began, 1)
    figures["verify_cpu_s"] = round(time.process_time() - cpu, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_mb"] = round(peak / 1024)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
