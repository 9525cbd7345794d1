"""The real live system: a dropped export becomes a snapshot; kills lose nothing; it ends."""

import json
import os
import signal
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import psutil
import pytest

from conftest import Home
from lib.live import Live, drop, live_system, wait_until
from rapport.live.airflow import mark
from rapport.live.processes import of_home
from rapport.live.supervisor import sessions_of
from rapport.settings import load_settings


@pytest.fixture(scope="module")
def live(new_home: Callable[[str], Home]) -> Iterator[Live]:
    with live_system(new_home("live")) as live:
        yield live


@pytest.fixture(scope="module")
def published(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """Drop an export without another command."""
    laid = tmp_path_factory.mktemp("drop")
    live.home.run("demo", "generate", "--clients", "12", "--seed", "3",
                  "--out", str(laid), "--until", "2026-06-30")  # fmt: skip
    # A day without news is a task of Airflow's like any other, and two dozen of them.
    dropped = sorted(
        day
        for day in (laid / "inbox" / "canonical").iterdir()
        if list(day.glob("*.csv"))
    )
    drop(live.home, dropped)
    # The first ring may come before the last delivery is dropped.
    wait_until((live.home.path / "dashboard" / "index.html").exists)
    wait_until(lambda: len(live.state.deliveries()) == len(dropped))
    return live


def test_a_dropped_export_becomes_a_dashboard_by_itself(published: Live) -> None:
    runs = published.state.runs()
    assert runs[-1].outcome == "published"
    assert (published.home.path / "published" / "rapport.duckdb").exists()


def test_it_shows_passwords_once_and_keeps_them_private(live: Live) -> None:
    kept = json.loads((live.home.path / "airflow" / "passwords.json").read_text())
    assert all(password in live.said for password in kept.values())
    assert kept["rapport"] not in live.home.run("up").stderr
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (live.home.path / "airflow").iterdir()
        if path.is_file()
    }
    assert set(modes.values()) == {0o600}, modes


def test_it_listens_on_this_machine_alone(live: Live) -> None:
    settings = load_settings({"RAPPORT_HOME": str(live.home.path)})
    processes = of_home(mark(settings), sessions_of(settings))
    listening = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # tasks come and go
            listening |= {
                connection.laddr.ip
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert listening == {"127.0.0.1"}


def test_the_page_needs_a_password(live: Live) -> None:
    settings = load_settings({"RAPPORT_HOME": str(live.home.path)})
    url = f"http://127.0.0.1:{settings.live.port}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/api/v2/dags")
    assert refused.value.code == 401
    kept = json.loads((live.home.path / "airflow" / "passwords.json").read_text())
    asked = urllib.request.Request(
        f"{url}/auth/token",
        data=json.dumps(
            {"username": "viewer", "password": kept["viewer"] + "x"}
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 401


def test_a_burst_while_scheduler_and_triggerer_are_killed_is_taken_in_once(
    published: Live,
) -> None:
    known = {delivery.batch_id for delivery in published.state.deliveries()}
    for i in range(10):
        delivery = published.home.path / "inbox" / "canonical" / f"burst-{i}"
        delivery.mkdir(parents=True)
        (delivery / "clients.csv").write_text(f"client_id\nP{i}\n")
        (delivery / "_SUCCESS").touch()
        if i == 4:
            os.kill(published.pid("scheduler"), signal.SIGKILL)
            os.kill(published.pid("triggerer"), signal.SIGKILL)
    wait_until(lambda: len(published.state.deliveries()) == len(known) + 10)
    ledger = [row for row in published.state.ledger() if row[0] not in known]
    assert len(ledger) == 10
    assert sum(row[4] for row in ledger) == sum(row[5] for row in ledger) == 10


def test_lineage_and_metadata_hold_no_name_of_a_delivery(published: Live) -> None:
    found = (published.home.path / "lineage" / "openlineage.jsonl").read_text()
    assert "build_marts" in found
    folder = published.home.path / "inbox" / "canonical"
    names = [path.name for path in folder.iterdir()]
    with closing(
        sqlite3.connect(published.home.path / "airflow" / "airflow.db")
    ) as con:
        dump = "\n".join(con.iterdump())
    assert not any(f"/{name}" in found or f"/{name}" in dump for name in names)
