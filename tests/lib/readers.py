"""Readers while nights are published: one candidate, marked anew, published each time."""

import json
import os
import subprocess
import sys
import time
from datetime import date
from typing import Any

import duckdb

from conftest import Home
from lib import snapshot_reader
from lib.small_nights import settings_of
from lib.two_nights import TONIGHT
from rapport import night
from rapport.state import ControlState
from rapport.warehouse.connections import candidate_path
from rapport.warehouse.publish import candidate_mark


def publish_marked(home: Home) -> int:
    """Publish the candidate with the number of published nights in three of its tables."""
    settings, state = settings_of(home), ControlState(home.path)
    mark = 1 + sum(run.outcome == "published" for run in state.runs())
    run_id = night.start_run(settings, date.fromisoformat(TONIGHT))
    with duckdb.connect(candidate_path(settings)) as con:
        for table, column in snapshot_reader.MARKED.items():
            con.execute(f"update {table} set {column} = {mark}")
        con.execute("checkpoint")
    state.set_run(run_id, "validated", candidate_mark=candidate_mark(settings))
    night.publish(settings, run_id)
    return mark


def read_while_publishing(home: Home, n_readers: int, n_publishes: int) -> dict[str, Any]:  # fmt: skip
    """Publish while readers look; return what the readers came to."""
    publish_marked(home)  # so that every snapshot that is looked at is marked
    stop = home.path.parent / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, snapshot_reader.__file__, str(home.path), str(stop),
             snapshot_reader.KINDS[n % 3]],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE, text=True,
        )
        for n in range(n_readers)
    ]  # fmt: skip
    started = time.monotonic()
    for _ in range(n_publishes):
        publish_marked(home)
    published_s = time.monotonic() - started
    stop.touch()
    said = [json.loads(reader.communicate()[0]) for reader in readers]
    return {
        "n": n_publishes,
        "n_readers": n_readers,
        "n_looks": sum(one["n_looks"] for one in said),
        "n_failures": sum(len(one["failures"]) for one in said),
        "failures": sorted({text for one in said for text in one["failures"]})[:5],
        "fewest_looks": min(one["n_looks"] for one in said),
        "most_marks": max(one["n_marks"] for one in said),
        "publish_s": round(published_s / n_publishes, 2),
    }
