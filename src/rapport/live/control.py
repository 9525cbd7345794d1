"""``rapport up`` and ``rapport down``: start the live system and wait for it; end it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import psutil

from rapport import observe
from rapport.errors import RapportError, UsageError
from rapport.files import private_folder
from rapport.live.airflow import (
    airflow_environment,
    airflow_home,
    make_passwords,
    mark,
    migrate,
)
from rapport.live.processes import end, is_supervisor, of_home
from rapport.live.supervisor import (
    address,
    live_file,
    sessions_of,
    unloaded,
    unwell,
)
from rapport.settings import Settings

_START_WITHIN_S = 420.0
_STOP_WITHIN_S = 60.0


@dataclass(frozen=True)
class LiveState:
    """What runs of the live system.

    Attributes:
        pid: the supervisor's.
        address: of the web page.
        components: for each, ``pid`` (None while it waits to start) and ``restarts``.
    """

    pid: int
    address: str
    components: dict[str, dict[str, Any]]


def live_state(settings: Settings) -> LiveState | None:
    """Return what runs, or None when no supervisor does."""
    try:
        said = json.loads(live_file(settings).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not is_supervisor(int(said["pid"])):
        return None
    return LiveState(int(said["pid"]), said["address"], said["components"])


def prepare(settings: Settings) -> dict[str, str]:
    """Lay Airflow's home: metadata, accounts, secrets; return the new passwords.

    Raises:
        UsageError: another program has the port.
    """
    home = airflow_home(settings)
    logs = settings.home / "logs"
    private_folder(logs)
    private_folder(settings.home / "inbox")
    for path in home.iterdir():
        if path.is_file():
            path.chmod(0o600)
    _port_is_free(settings)
    migrate(airflow_environment(settings), logs / "airflow.log")
    return make_passwords(settings)


def up(settings: Settings) -> None:
    """Start the live system and return when each component says that it is healthy.

    It is left as it is where it runs already.

    Raises:
        UsageError: another program has the port.
        RapportError: a component did not become healthy in time; all were ended.
    """
    running = live_state(settings)
    if running is not None:
        observe.say(f"the live system runs already: {running.address}")
        _say_what_next(settings)
        return
    end(_left(settings), _STOP_WITHIN_S)
    new = prepare(settings)
    log = settings.home / "logs" / "airflow" / "supervisor.log"
    private_folder(log.parent)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "rapport.live"],
            env={**os.environ, "RAPPORT_HOME": str(settings.home), **mark(settings)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    with observe.step("up", "start the four processes"):
        _wait_until_well(settings, process)
    _show_passwords(settings, new)
    _say_what_next(settings)


def run_in_foreground(settings: Settings) -> None:
    """Become the supervisor (for systemd and containers): returns never."""
    _show_passwords(settings, prepare(settings))
    os.environ.update({"RAPPORT_HOME": str(settings.home), **mark(settings)})
    os.execv(sys.executable, [sys.executable, "-m", "rapport.live"])


def down(settings: Settings) -> None:
    """End the live system: no process of it is left, also of one that was killed."""
    running, sessions = live_state(settings), sessions_of(settings)
    with observe.step("down", "stop the four processes"):
        if running is not None:
            supervisor = psutil.Process(running.pid)
            supervisor.send_signal(signal.SIGTERM)
            psutil.wait_procs([supervisor], timeout=_STOP_WITHIN_S)
        end(of_home(mark(settings), sessions), _STOP_WITHIN_S)
        live_file(settings).unlink(missing_ok=True)
    observe.say("the live system is down; rapport up starts it again")


def _left(settings: Settings) -> list[psutil.Process]:
    return of_home(mark(settings), sessions_of(settings))


def _port_is_free(settings: Settings) -> None:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((settings.live.host, settings.live.port))
        except OSError:
            raise UsageError(
                f"another program listens on {settings.live.host}:{settings.live.port}",
                next_step="set [live] port in rapport.toml to a free one, then rapport up",
                reason="port_taken",
            ) from None


def _wait_until_well(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_WITHIN_S
    missing: list[str] = []
    while time.monotonic() < until and process.poll() is None:
        missing = unwell(settings) or unloaded(settings)
        if not missing:
            return
        time.sleep(1)
    end(_left(settings), _STOP_WITHIN_S)
    process.wait()
    live_file(settings).unlink(missing_ok=True)
    raise RapportError(
        f"the live system did not become healthy: {', '.join(missing)}; all of it was "
        "stopped",
        next_step=f"read {settings.home / 'logs' / 'airflow'}, then rapport up again",
        reason="live_not_healthy",
    )


def _show_passwords(settings: Settings, new: dict[str, str]) -> None:
    if not new:
        return
    observe.say("new accounts of the web page; their passwords are shown this once:")
    for name, password in sorted(new.items()):
        observe.say(f"  {name:<20} {password}")
    observe.say(f"  (kept in {airflow_home(settings) / 'passwords.json'}, mode 0600)")


def _say_what_next(settings: Settings) -> None:
    for line in (
        f"  web page    {address(settings)}",
        f"  inbox       {settings.home / 'inbox'}: what is dropped here is taken in",
        f"  dashboard   {settings.home / 'dashboard' / 'index.html'}",
        "  state       rapport status",
        "  stop        rapport down",
    ):
        observe.say(line)
