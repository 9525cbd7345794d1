"""Airflow's four servers on loopback, for proofs that need its own pages.

Each of ``[extracts] approvers`` is a user under that very name, so that who answers an
approval page is who the ledger names.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rapport.live import airflow_environment
from rapport.settings import Settings

PROCESSES = (
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)
_STOP_S = 20


def server_environment(settings: Settings, port: int) -> dict[str, str]:
    """Return the environment that the four processes share; users and passwords in it."""
    names = settings.extracts.approvers
    environment = airflow_environment(settings)
    passwords = Path(environment["AIRFLOW_HOME"]) / "passwords.json"
    known = json.loads(passwords.read_text("utf-8")) if passwords.exists() else {}
    said = {name: known.get(name) or secrets.token_urlsafe(18) for name in names}
    handle = os.open(passwords, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(said, file, indent=2)
    own = f"http://127.0.0.1:{port}"
    return environment | {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": own,
        "AIRFLOW__API__SECRET_KEY": environment["AIRFLOW__API_AUTH__JWT_SECRET"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{own}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{n}:user" for n in names
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


@contextmanager
def airflow_server(
    environment: dict[str, str], log: Path, *, within_s: float = 180
) -> Iterator[str]:
    """Run the four processes; yield the address of the pages once all are healthy."""
    airflow = str(Path(sys.executable).with_name("airflow"))
    own = environment["AIRFLOW__API__BASE_URL"]
    with log.open("ab") as out:
        started: list[subprocess.Popen[bytes]] = []
        try:
            _lay_pool(environment, out)
            for arguments in PROCESSES:
                started.append(
                    subprocess.Popen(
                        [airflow, *arguments],
                        env=environment,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                    )
                )
            _wait_until_healthy(own, started, log, within_s)
            yield own
        finally:
            _stop(started)


def _lay_pool(environment: dict[str, str], out: Any) -> None:
    subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), "pools", "set", "warehouse",
         "1", "one writer"],
        env=environment, stdout=out, stderr=out, check=True,
    )  # fmt: skip


def _wait_until_healthy(
    own: str, started: list[subprocess.Popen[bytes]], log: Path, within_s: float
) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if any(process.poll() is not None for process in started):
            break
        if _is_healthy(own):
            return
        time.sleep(1)
    raise SystemExit(f"Airflow did not come up within {within_s:.0f} s: {log}")


def _is_healthy(own: str) -> bool:
    try:
        with urllib.request.urlopen(f"{own}/api/v2/monitor/health", timeout=5) as page:
            parts = json.load(page)
    except (urllib.error.URLError, TimeoutError, ValueError, ConnectionError):
        return False
    return all(part["status"] == "healthy" for part in parts.values())


def _stop(started: list[subprocess.Popen[bytes]]) -> None:
    """End the groups of the processes that were started here, and no other."""
    for process in reversed(started):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_S
    for process in started:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
