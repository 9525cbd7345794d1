"""Nights as a machine sees them: started, killed at a moment, looked at meanwhile."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil

from lib.snapshots import fingerprint
from rapport.state import ControlState, writer_lock


class Reader(threading.Thread):
    """Opens the snapshot again and again; keeps what it saw and whatever failed."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._path = home / "published" / "rapport.duckdb"
        self._is_over = threading.Event()
        self.seen: set[tuple] = set()
        self.failures: list[str] = []
        self.n_looks = 0

    def run(self) -> None:
        while not self._is_over.wait(0.25):
            try:
                self.seen.add(fingerprint(self._path))
                self.n_looks += 1
            except Exception as error:  # whatever it is, a reader met it
                self.failures.append(repr(error))

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self.join()


def start_night(home: Path, as_of: str, *options: str) -> subprocess.Popen:
    """Start ``rapport night`` in a process group of its own."""
    rapport = str(Path(sys.executable).with_name("rapport"))
    return subprocess.Popen(
        [rapport, "night", "--as-of", as_of, *options],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_night(home: Path, as_of: str, after_cpu_s: float, whom: str) -> bool:
    """Start a night and SIGKILL it; return whether it was still running.

    Args:
        home: RAPPORT_HOME.
        as_of: the night's date.
        after_cpu_s: when to kill, in CPU seconds that its processes have used: the same
            moment of a night on a busy machine and on an idle one.
        whom: the process that leads, its whole ``group``, or a ``child`` alone (dbt or
            the gate); a night that lost a child ends by itself, well or not.
    """
    night = start_night(home, as_of)
    leader = psutil.Process(night.pid)
    while cpu_used_s(leader) < after_cpu_s:
        with suppress(subprocess.TimeoutExpired):
            night.wait(timeout=0.05)
            return False
    if whom == "child":
        children = leader.children(recursive=True)
        if not children:
            whom = "group"
        else:
            # Which one is as random as the moment.
            children[int(after_cpu_s * 1000) % len(children)].kill()
    if whom == "group":
        os.killpg(night.pid, signal.SIGKILL)
    elif whom == "leader":
        night.kill()
    night.wait()
    return True


def cpu_used_s(leader: psutil.Process) -> float:
    """Return the CPU seconds of a process and of all it started, ended ones included."""
    used = 0.0
    with suppress(psutil.NoSuchProcess):
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:4])  # its own and its ended children's
    return used


def left_behind(home: Path) -> list[str]:
    """Return what a night must not leave: half files, a lock, rows in no sum, processes."""
    with writer_lock(home):  # raises when somebody holds it
        state = ControlState(home)
    known = {relative for _, _, relative, *_ in state.bronze_digests()}
    bronze = home / "bronze"
    found = [p.relative_to(home).as_posix() for p in home.rglob("*.building*")]
    found += [
        f"bronze/{path.relative_to(bronze)} is in no ledger"
        for path in bronze.rglob("*.parquet")
        if path.relative_to(bronze).as_posix() not in known
    ]
    found += [
        "a row is in no sum" for row in state.ledger() if row[4] != sum(row[5:10])
    ]
    return found + [f"a process: {name}" for name in _processes_of(home)]


def _processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RAPPORT_HOME") == str(home):
                found.append(process.name())
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found
