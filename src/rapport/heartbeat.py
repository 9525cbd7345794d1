"""The heartbeat: after each good night a file says so, and an address may be called.

A monitor that hears nothing knows that the machine is down. The call carries no data, and
its failure never fails a night: the file stands, and the next night calls again.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

from rapport import observe
from rapport.files import write_whole
from rapport.settings import Settings
from rapport.state import Run


def beat(settings: Settings, run: Run, n_warnings: int) -> None:
    """Write ``state/heartbeat.json`` for a published run, then call the address, if any.

    A run beats once: a digest that is written again says nothing new.
    """
    path = settings.home / "state" / "heartbeat.json"
    if path.exists() and json.loads(path.read_text("utf-8"))["run_id"] == run.run_id:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {
        "last_good_night": run.as_of.isoformat(),
        "run_id": run.run_id,
        "at": now,
        "warnings": n_warnings,
    }
    write_whole(path, json.dumps(said, indent=1, sort_keys=True) + "\n")
    url = settings.gate.heartbeat_url
    if url is not None and not _call(url, settings.gate.heartbeat_timeout_seconds):
        observe.event("heartbeat_failed", run_id=run.run_id)
        observe.say(
            "  the heartbeat address did not answer; the night stands, and the next one "
            "calls again"
        )


def _call(url: str, timeout_seconds: float) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            return bool(200 <= answer.status < 400)
    except (OSError, ValueError, urllib.error.URLError):
        return False
