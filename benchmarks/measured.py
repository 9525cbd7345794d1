"""How a benchmark's figures are taken and kept: CPU seconds of whole processes, medians."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
RESULTS = Path(__file__).parent / "results"


def run_apart(command: Sequence[str], **also: Any) -> tuple[dict[str, float], str]:
    """Run a command in a process of its own; return what it cost, and its output.

    Returns:
        CPU seconds of it and of all that it started, wall seconds; then its stdout.
    """
    _adopt_orphans()
    began, before = time.monotonic(), _children()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **also)
    # What it started and did not wait for (Spark's Java) is ours now, and ends with it.
    with suppress(ChildProcessError):
        while True:
            os.wait()
    cpu = _children() - before
    if done.returncode:
        sys.exit(f"a side of the benchmark failed: {' '.join(command[:3])} ...")
    wall = time.monotonic() - began
    return {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}, done.stdout


def peak_mb() -> int:
    """Return the most megabytes that this process has held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def summary(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return median, least and most of each figure over some runs."""
    return {
        name: {
            "median": round(median(run[name] for run in runs), 2),
            "least": min(run[name] for run in runs),
            "most": max(run[name] for run in runs),
        }
        for name in runs[0]
    }


def save(name: str, found: Mapping[str, Any]) -> None:
    """Write one benchmark's figures to ``results/<name>.json``, and print them."""
    RESULTS.mkdir(exist_ok=True)
    said = {**found, "load_average": round(os.getloadavg()[0], 1)}
    text = json.dumps(said, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text)


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends before them (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
