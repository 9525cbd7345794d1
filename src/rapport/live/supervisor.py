"""The supervisor: it starts Airflow's four processes, restarts what ends or hangs.

``python -m rapport.live`` runs until TERM or INT; then it ends them all and itself. It does
no work of rapport's and opens no database.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rapport import observe
from rapport.files import private_folder, write_whole
from rapport.live.airflow import (
    MARK,
    airflow_program,
    live_environment,
)
from rapport.live.processes import end, of_home
from rapport.settings import Settings

# Without --skip-serve-logs a component serves its logs on every address (stack.md 2).
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
# What the health page calls them.
_IN_HEALTH = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
_LOOK_EVERY_S = 0.5
_ASK_EVERY_S = 15.0
# A component may say unhealthy for so long before it is taken for hung.
_HUNG_AFTER_S = 180.0
_LONGEST_PAUSE_S = 60.0
# A component that ran so long starts again at once.
_STEADY_AFTER_S = 120.0
_END_WITHIN_S = 20.0


@dataclass
class Component:
    """One process of Airflow and what became of it."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts_at: float = 0.0
    n_restarts: int = 0
    n_quick: int = 0
    unhealthy_since: float | None = None


@dataclass
class Supervisor:
    """Four components of one RAPPORT_HOME; ``run`` returns when told to stop."""

    settings: Settings
    components: list[Component] = field(default_factory=list)
    is_stopping: bool = False

    def __post_init__(self) -> None:
        program = airflow_program()
        self.components = self.components or [
            Component(name, [program, *arguments])
            for name, arguments in COMPONENTS.items()
        ]
        self._environment = live_environment(self.settings)
        self._path = live_file(self.settings)
        self._sessions = sessions_of(self.settings)
        self._log = self.settings.home / "logs" / "airflow"

    def run(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start all, watch them until told to stop, end all."""
        private_folder(self._log)
        self._end_all()  # what an earlier kill left
        asked = clock()
        try:
            while not self.is_stopping:
                changed = self._start_due(clock())
                if clock() - asked >= _ASK_EVERY_S:
                    asked = clock()
                    self._judge_health(asked)
                if changed:
                    self._tell()
                time.sleep(_LOOK_EVERY_S)
        finally:
            self._end_all()
            self._path.unlink(missing_ok=True)

    def _end_all(self) -> None:
        end(of_home(self._environment, self._sessions), _END_WITHIN_S)

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Say that it is time to end (a signal handler)."""
        self.is_stopping = True

    def _start_due(self, now: float) -> bool:
        changed = False
        for component in self.components:
            process = component.process
            if process is not None and process.poll() is not None:
                self._note_end(component, now)
            if component.process is None and now >= component.starts_at:
                self._start(component, now)
                changed = True
        return changed

    def _start(self, component: Component, now: float) -> None:
        with (self._log / f"{component.name}.log").open("ab") as out:
            component.process = subprocess.Popen(
                component.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._sessions.add(component.process.pid)
        component.started = now
        component.unhealthy_since = None

    def _note_end(self, component: Component, now: float) -> None:
        """Let a component that ends again and again wait longer each time."""
        assert component.process is not None
        # Its workers outlive a killed component, and would run a task a second time.
        left = of_home({MARK: ""}, {component.process.pid})
        end(left, _END_WITHIN_S)
        is_quick = now - component.started < _STEADY_AFTER_S
        component.n_quick = component.n_quick + 1 if is_quick else 0
        pause = min(_LONGEST_PAUSE_S, 2.0**component.n_quick) if is_quick else 0.0
        component.process = None
        component.starts_at = now + pause
        component.n_restarts += 1
        observe.event(
            "component_ended", module=component.name.replace("-", "_"), n_failed=1
        )

    def _judge_health(self, now: float) -> None:
        """End what has said unhealthy for too long; the next look starts it again."""
        said = health(self.settings)
        for component in self.components:
            is_well = _is_well(component.name, said)
            if is_well or component.process is None:
                component.unhealthy_since = None
                continue
            since = component.unhealthy_since
            component.unhealthy_since = now if since is None else since
            if now - component.unhealthy_since >= _HUNG_AFTER_S:
                os.killpg(component.process.pid, signal.SIGKILL)

    def _tell(self) -> None:
        write_whole(
            self._path,
            json.dumps(
                {
                    "pid": os.getpid(),
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "address": address(self.settings),
                    "sessions": sorted(self._sessions),
                    "components": {
                        component.name: {
                            "pid": component.process.pid if component.process else None,
                            "restarts": component.n_restarts,
                        }
                        for component in self.components
                    },
                },
                indent=1,
            )
            + "\n",
        )


def live_file(settings: Settings) -> Path:
    """Return the file that says what runs: it is there while the supervisor is."""
    return settings.home / "airflow" / "live.json"


def sessions_of(settings: Settings) -> set[int]:
    """Return the sessions that components of this home's supervisor began."""
    try:
        said = json.loads(live_file(settings).read_text("utf-8"))
    except (OSError, ValueError):
        return set()
    return set(said["sessions"])


def address(settings: Settings) -> str:
    """Return the address of the web page."""
    return f"http://{settings.live.host}:{settings.live.port}"


def health(settings: Settings) -> dict[str, Any]:
    """Return what the health page says, by component; empty when it does not answer."""
    url = f"{address(settings)}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            said: dict[str, Any] = json.loads(answer.read())
    except (OSError, ValueError):
        return {}
    return said


def unwell(settings: Settings) -> list[str]:
    """List the components that the health page does not call healthy."""
    said = health(settings)
    return [name for name in COMPONENTS if not _is_well(name, said)]


def unloaded(settings: Settings) -> list[str]:
    """Say that DAGs are not read yet, or name the files that can't be.

    The health page knows nothing of them: a scheduler without DAGs is healthy.
    """
    passwords = settings.home / "airflow" / "passwords.json"
    said = {
        "username": "rapport",
        "password": json.loads(passwords.read_text("utf-8"))["rapport"],
    }
    try:
        token = _ask(settings, "/auth/token", said)["access_token"]
        broken = _ask(settings, "/api/v2/importErrors", token=token)["import_errors"]
        if broken:
            return sorted({str(one["filename"]) for one in broken})
        n_dags = int(_ask(settings, "/api/v2/dags", token=token)["total_entries"])
    except (OSError, ValueError, KeyError):
        return ["the web page's API"]
    n_files = len(dag_files(settings.project_root / "dags"))
    return [] if n_dags >= n_files else [f"{n_files - n_dags} DAGs not read yet"]


def dag_files(folder: Path) -> list[str]:
    """List the files that hold a DAG each: all but those that Airflow is to leave alone."""
    ignored = (folder / ".airflowignore").read_text("utf-8").split()
    return sorted({path.name for path in folder.glob("*.py")} - set(ignored))


def _ask(
    settings: Settings, path: str, said: dict[str, str] | None = None, token: str = ""
) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        address(settings) + path,
        data=json.dumps(said).encode() if said else None,
        headers=headers,
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def _is_well(name: str, said: dict[str, Any]) -> bool:
    if name == "api-server":
        return bool(said)
    part = said.get(_IN_HEALTH[name]) or {}
    return bool(part.get("status") == "healthy")
