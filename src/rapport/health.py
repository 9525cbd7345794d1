"""``state/health.json``: what a monitor asks, written when a step ends.

Numbers, codes and times only. A file that can't be written never fails a step, and a
monitor sees by ``at`` that it is old.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from rapport import observe
from rapport.errors import RapportError, WriterBusy
from rapport.files import write_whole
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import published_path

P = ParamSpec("P")
R = TypeVar("R")
VERSION = 1


def tells_health(
    step: Callable[Concatenate[Settings, P], R],
) -> Callable[Concatenate[Settings, P], R]:
    """Write the health file when a step of the chain ends, well or not.

    The step's log lines carry the run that it is given.
    """

    @functools.wraps(step)
    def told(settings: Settings, *args: P.args, **named: P.kwargs) -> R:
        run_id = args[0] if args and str(args[0]).startswith("r_") else None
        logs = settings.home / "logs"
        if run_id or not observe.is_logging_to(logs):
            observe.log_to(logs, str(run_id) if run_id else None)
        outcome = "failed"
        try:
            result = step(settings, *args, **named)
            outcome = "done"
            return result
        except WriterBusy:  # the one that holds the lock tells
            outcome = ""
            raise
        finally:
            if outcome:
                with suppress(OSError, sqlite3.Error, RapportError):
                    write_health(settings, step.__name__, outcome)

    return cast(Callable[Concatenate[Settings, P], R], told)


def write_health(settings: Settings, step: str, outcome: str) -> None:
    """Write the file anew, whole or not at all, for its owner alone."""
    path = settings.home / "state" / "health.json"
    said = json.dumps(health_of(settings, step, outcome), indent=1, sort_keys=True)
    write_whole(path, said + "\n")


def health_of(settings: Settings, step: str, outcome: str) -> dict[str, Any]:
    """Return what the health file says."""
    state = ControlState(settings.home)
    runs = state.nights()
    last = runs[-1] if runs else None
    published = [run for run in runs if run.outcome == "published"]
    now = datetime.now(UTC)
    snapshot = published_path(settings)
    return {
        "version": VERSION,
        "at": now.isoformat(timespec="seconds"),
        "step": step,
        "step_outcome": outcome,
        "run_id": last.run_id if last else None,
        "run_outcome": last.outcome if last else None,
        "run_as_of": last.as_of.isoformat() if last else None,
        "run_started_at": _time(last.started_at if last else None),
        "run_ended_at": _time(last.ended_at if last else None),
        "snapshot_as_of": published[-1].as_of.isoformat() if published else None,
        "snapshot_published_at": _time(published[-1].ended_at if published else None),
        "snapshot_age_hours": round(
            (now.timestamp() - snapshot.stat().st_mtime) / 3600, 2
        )
        if snapshot.exists()
        else None,
        "deliveries_in_quarantine": len({row["batch_id"] for row in state.refusals()}),
        "is_refused": last is not None and last.outcome == "refused",
        "disk_free_gb": round(shutil.disk_usage(settings.home).free / 1e9, 2),
        "live": live_components(settings),
    }


def live_components(settings: Settings) -> dict[str, bool] | None:
    """Return which processes of the live system run; None when it was never started."""
    return live_components_of(settings.home)


def live_components_of(home: Path) -> dict[str, bool] | None:
    """Return the same of a RAPPORT_HOME whose settings need not be valid."""
    path = home / "airflow" / "live.json"
    try:
        said = json.loads(path.read_text("utf-8"))
        pids = {"supervisor": said.get("pid")} | {
            name: component.get("pid")
            for name, component in said.get("components", {}).items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        return {}
    return {name: _runs(pid) for name, pid in sorted(pids.items())}


def _runs(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
