"""The real live system, for tests and proofs: started, given exports, killed, stopped."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """Start the live system of a new home; at the end it must leave no process."""
    home.path.mkdir(parents=True)
    (home.path / "rapport.toml").write_text(f"[live]\nport = {_free_port()}\n")
    said = home.run("up").stderr
    try:
        yield Live(home, said)
    finally:
        settings = settings_of(home)
        sessions = sessions_of(settings)
        home.run("down")
    assert len(sessions) >= 4
    assert of_home(mark(settings), sessions) == []


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def wait_until(what: Callable[[], bool], *, within_s: float = _WITHIN_S) -> None:
    """Wait for what the live system does by itself."""
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(1)


def drop(home: Home, deliveries: list[Path]) -> None:
    """Copy deliveries as an export job does: the files, and last the mark."""
    for delivery in deliveries:
        to = home.path / "inbox" / "canonical" / delivery.name
        shutil.copytree(delivery, to, ignore=shutil.ignore_patterns("_SUCCESS"))
        (to / "_SUCCESS").touch()
