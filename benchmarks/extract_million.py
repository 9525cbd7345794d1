"""Time and memory of one safe_harbor package of a million sessions, and of its check.

    PYTHONPATH=tests python benchmarks/extract_million.py FOLDER [PERSONS]
    PYTHONPATH=tests python benchmarks/extract_million.py FOLDER HOME FROM TO

The snapshot is laid by hand (tests/lib/extract_home.py): ten weekly sessions a person,
scores drawn from many values, so that several rungs are tried. Or HOME, a published one
that is left as it is, is asked for the months FROM to TO. Each step runs in a process of
its own, so that its peak of memory is its own; the load is that of the machine meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from lib.extract_home import TODAY, lay_home, spec
from rapport.extracts import lifecycle
from rapport.extracts.verify import passed, verify_package
from rapport.settings import Settings, load_settings

_SCORES = (
    "update alliance.fct_alliance_session set client_total ="
    " 1 + (hash(session_key) % 49) / 12.0, client_goal ="
    " 1 + (hash(session_key || 'g') % 17) / 4.0, client_task ="
    " 1 + (hash(session_key || 't') % 17) / 4.0, client_bond ="
    " 1 + (hash(session_key || 'b') % 17) / 4.0",
)
STEPS = ("request", "release", "verify")


def main() -> None:
    """Lay the home, then time request, release and verify."""
    home = Path(sys.argv[1])
    if sys.argv[2:] and sys.argv[2] in STEPS:
        print(json.dumps(_timed(home, sys.argv[2])))
        return
    if sys.argv[3:]:
        _copy_published(home, *sys.argv[2:5])
    else:
        lay_home(home, int(sys.argv[2]) if sys.argv[2:] else 100_000, _SCORES)
        (home / "request.toml").write_text(spec())
    for step in STEPS:
        done = subprocess.run(
            [sys.executable, __file__, str(home), step], capture_output=True, check=True
        )
        print(f"{step}: {done.stdout.decode().strip()}", flush=True)


def _copy_published(home: Path, source: str, first: str, last: str) -> None:
    for name in ("published", "vault"):
        shutil.copytree(Path(source) / name, home / name)
    (home / "rapport.toml").write_text('[extracts]\napprovers = ["Grace Hopper"]\n')
    period = f"{{ from = {first}, to = {last} }}"
    (home / "request.toml").write_text(spec(period=period, expires_on="2099-12-31"))


def _timed(home: Path, step: str) -> dict[str, Any]:
    settings = load_settings({"RAPPORT_HOME": str(home)})
    work: dict[str, Callable[[Settings], dict[str, Any]]] = {
        "request": _request, "release": _release, "verify": _verify,
    }  # fmt: skip
    began, cpu = time.monotonic(), time.process_time()
    said = work[step](settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_mb": round(peak / 1024),
        "load": round(os.getloadavg()[1], 1),
        **said,
    }


def _today(settings: Settings) -> date:
    laid = "2099" not in (settings.home / "request.toml").read_text()
    return TODAY if laid else date.today()


def _request(settings: Settings) -> dict[str, Any]:
    path, today = settings.home / "request.toml", _today(settings)
    id_ = lifecycle.request_extract(settings, path, today).request_id
    report = lifecycle.review_extract(settings, id_)["report"]
    kept = (
        "rung",
        "rows",
        "n_requested",
        "n_masked",
        "n_dropped",
        "k_min",
        "trajectory",
    )
    return {name: report[name] for name in kept}


def _release(settings: Settings) -> dict[str, Any]:
    (row,) = lifecycle.list_extracts(settings)
    today = _today(settings)
    lifecycle.approve_extract(settings, row["request_id"], "Grace Hopper", today)
    return {
        "folder": str(lifecycle.release_extract(settings, row["request_id"], today))
    }


def _verify(settings: Settings) -> dict[str, Any]:
    (row,) = lifecycle.list_extracts(settings)
    folder = settings.home / "extracts" / row["request_id"] / "release"
    return {"passed": passed(verify_package(folder, None, None, _today(settings)))}


if __name__ == "__main__":
    main()
