"""The supervisor restarts what ends or hangs, and leaves no process behind."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rapport.errors import RapportError, SettingsError, UsageError
from rapport.live import airflow, control
from rapport.live.airflow import (
    accounts,
    airflow_environment,
    make_passwords,
    mark,
    metadata_url,
    migrate,
)
from rapport.live.processes import end, of_home
from rapport.live.supervisor import Component, Supervisor, live_file
from rapport.settings import Settings, load_settings

_STAYS = [sys.executable, "-c", "import time; time.sleep(600)"]
_DEAF = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
]  # fmt: skip


def wait_for(what: Callable[[], object], seconds: float = 20) -> object:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError, ValueError, KeyError):
            if found := what():
                return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "rapport.toml").write_text(
        '[live]\nport = 18123\n[extracts]\napprovers = ["M. Okafor", "Lee, Ann"]\n'
    )
    return load_settings({"RAPPORT_HOME": str(tmp_path)})


@pytest.fixture
def supervised(settings: Settings) -> Iterator[Supervisor]:
    """Run a supervisor of two plain processes in a thread."""
    supervisor = Supervisor(
        settings, [Component("api-server", _STAYS), Component("scheduler", _STAYS)]
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_for(lambda: told(settings)["scheduler"]["pid"])
    yield supervisor
    supervisor.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert of_home(mark(settings)) == []
    assert not live_file(settings).exists()


def told(settings: Settings) -> dict[str, dict[str, int]]:
    return json.loads(live_file(settings).read_text())["components"]


def test_a_killed_component_is_started_again(
    settings: Settings, supervised: Supervisor
) -> None:
    first = told(settings)["scheduler"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: told(settings)["scheduler"]["restarts"] == 1)
    after = told(settings)
    assert after["scheduler"]["pid"] != first
    assert after["api-server"]["restarts"] == 0


def test_the_file_that_says_what_runs_is_private(
    settings: Settings, supervised: Supervisor
) -> None:
    assert stat.S_IMODE(live_file(settings).stat().st_mode) == 0o600


def test_one_that_ends_again_and_again_waits_longer_each_time(
    settings: Settings,
) -> None:
    component = Component("scheduler", [sys.executable, "-c", ""])
    supervisor = Supervisor(settings, [component])
    supervisor._log.mkdir(parents=True)
    now, pauses = 1000.0, []
    for _ in range(8):
        supervisor._start_due(now)
        assert component.process is not None
        component.process.wait()
        supervisor._start_due(now)
        pauses.append(component.starts_at - now)
        now = component.starts_at
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]


def test_one_that_says_unhealthy_for_three_minutes_is_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = Component("scheduler", _STAYS)
    supervisor = Supervisor(settings, [component])
    supervisor._log.mkdir(parents=True)
    supervisor._start_due(0.0)
    assert component.process is not None
    said = {"scheduler": {"status": "unhealthy"}}
    monkeypatch.setattr("rapport.live.supervisor.health", lambda settings: said)
    supervisor._judge_health(10.0)
    supervisor._judge_health(189.0)
    assert component.process.poll() is None
    supervisor._judge_health(190.0)
    assert component.process.wait(10) == -signal.SIGKILL


def test_what_a_killed_supervisor_left_is_found_and_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_STOP_WITHIN_S", 2.0)  # one is deaf to TERM
    left = [
        subprocess.Popen(command, env={**os.environ, **mark(settings)})
        for command in (_STAYS, _DEAF)
    ]
    stranger = subprocess.Popen(_STAYS)
    try:
        wait_for(lambda: len(of_home(mark(settings))) == 2)
        control.down(settings)
        assert not any(psutil.pid_exists(process.pid) for process in left)
        assert stranger.poll() is None
    finally:
        end([psutil.Process(stranger.pid)], 5)
        stranger.wait()


def test_each_account_has_a_password_that_is_made_once(settings: Settings) -> None:
    # A comma can't stand in an account's name: that approver signs at the terminal.
    names = {"rapport": "admin", "viewer": "viewer", "M. Okafor": "user"}
    assert accounts(settings) == names
    new = make_passwords(settings)
    assert set(new) == set(names)
    assert len(set(new.values())) == 3
    assert make_passwords(settings) == {}
    kept = settings.home / "airflow" / "passwords.json"
    assert json.loads(kept.read_text()) == new
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_nothing_of_airflow_listens_beyond_this_machine(settings: Settings) -> None:
    said = airflow_environment(settings)
    assert said["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "--skip-serve-logs" in Supervisor(settings).components[1].command
    assert "--skip-serve-logs" in Supervisor(settings).components[3].command


@pytest.mark.parametrize("address", [None, b"no address", b"\xff\xfe"])
def test_an_address_of_the_database_that_can_not_be_read_is_said(
    settings: Settings, tmp_path: Path, address: bytes | None
) -> None:
    named = tmp_path / "url"
    if address is not None:
        named.write_bytes(address)
    live = settings.live.model_copy(update={"database_url_file": named})
    with pytest.raises(SettingsError, match=r"live\.database_url_file") as said:
        metadata_url(settings.model_copy(update={"live": live}))
    assert str(said.value).count("address") == 1  # that of the sentence alone


def test_metadata_that_airflow_can_not_lay_are_said_and_asked_for_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(airflow, "airflow_program", lambda: "false")
    for _ in range(2):
        with pytest.raises(RapportError, match="could not be laid"):
            migrate(airflow_environment(settings), tmp_path / "airflow.log")


def test_another_database_is_laid_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A home that moves from SQLite to a server; the mark holds no password."""
    ran = tmp_path / "ran"
    program = tmp_path / "stands_in"
    program.write_text(f'#!/bin/sh\necho "$1" >> {ran}\n')
    program.chmod(0o700)
    monkeypatch.setattr(airflow, "airflow_program", lambda: str(program))
    url = "postgresql+psycopg2://airflow:secret@db/airflow"
    server = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
    on_sqlite = airflow_environment(settings)
    for environment in (on_sqlite, on_sqlite, on_sqlite | server, on_sqlite | server):
        migrate(environment, tmp_path / "airflow.log")
    assert ran.read_text().split() == ["db", "pools"] * 2
    assert "secret" not in (settings.home / "airflow" / "migrated").read_text()


def test_a_port_that_another_program_has_is_said(settings: Settings) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.live.port))
        other.listen()
        with pytest.raises(
            UsageError, match=r"another program listens on 127\.0\.0\.1"
        ):
            control._port_is_free(settings)


def test_down_where_nothing_runs_is_no_error(settings: Settings) -> None:
    control.down(settings)
    assert control.live_state(settings) is None
