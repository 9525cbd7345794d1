"""The real live system, for tests and proofs: started, given exports, killed, stopped."""

import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from conftest import Home
from lib.small_nights import settings_of
from rapport.live import live_state
from rapport.live.airflow import mark
from rapport.live.processes import of_home
from rapport.live.supervisor import sessions_of
from rapport.state import ControlState

_WITHIN_S = 420  # on a machine that does other work as well


@dataclass(frozen=True)
class Live:
    """A running live system."""

    home: Home
    said: str

    @property
    def state(self) -> ControlState:
        return ControlState(self.home.path)

    def pid(self, component: str) -> int:
        found = live_state(settings_of(self.home))
        assert found is not None
        return found.components[component]["pid"]


@contextmanager
def live_system(home: Home) -> Iterator[Live]:
    """Start the live system of a home; at the end it must leave no process."""
    home.path.mkdir(parents=True, exist_ok=True)
    (home.path / "rapport.toml").write_text(f"[live]\nport = {free_port()}\n")
    said = home.run("up").stderr
    try:
        yield Live(home, said)
    finally:
        settings = settings_of(home)
        sessions = sessions_of(settings)
        home.run("down")
    assert len(sessions) >= 4
    assert of_home(mark(settings), sessions) == []


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def wait_until(what: Callable[[], bool], *, within_s: float = _WITHIN_S) -> None:
    """Wait for what the live system does by itself."""
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(1)


def runs_of(home: Home, dag: str, state: str, since: datetime) -> int:
    """Count the runs of a pipeline that are in a state and began since then, by its store."""
    return _asked(
        home,
        "select count(*) from dag_run where dag_id = ? and state = ? and start_date >= ?",
        (dag, state, since.strftime("%Y-%m-%d %H:%M:%S")),
    )


def is_idle(home: Home) -> bool:
    """Tell whether no pipeline runs, or waits to."""
    n_runs = _asked(
        home, "select count(*) from dag_run where state in ('queued', 'running')"
    )
    return not n_runs and not _asked(home, "select count(*) from asset_dag_run_queue")


def _asked(home: Home, question: str, about: tuple[str, ...] = ()) -> int:
    store = f"file:{home.path / 'airflow' / 'airflow.db'}?mode=ro"
    with closing(sqlite3.connect(store, uri=True, timeout=30)) as con:
        return int(con.execute(question, about).fetchone()[0])


def drop(home: Home, deliveries: list[Path]) -> None:
    """Copy deliveries as an export job does: the files, and last the mark."""
    for delivery in deliveries:
        to = home.path / "inbox" / "canonical" / delivery.name
        shutil.copytree(
            delivery, to, ignore=shutil.ignore_patterns("_SUCCESS"), dirs_exist_ok=True
        )
        (to / "_SUCCESS").touch()
