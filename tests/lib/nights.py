"""Nights as a machine sees them: started, killed at a moment, looked at meanwhile."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from lib.snapshots import fingerprint


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
        while not self._is_over.wait(0.05):
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


def start_night(home: Path, as_of: str) -> subprocess.Popen:
    """Start ``rapport night`` in a process group of its own."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("rapport")), "night", "--as-of", as_of],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_night(home: Path, as_of: str, after_s: float, *, group: bool) -> bool:
    """Start a night and SIGKILL it; return whether it was still running.

    Args:
        home: RAPPORT_HOME.
        as_of: the night's date.
        after_s: when to kill, seconds.
        group: kill its child processes too; else only the one that leads.
    """
    night = start_night(home, as_of)
    try:
        night.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        if group:
            os.killpg(night.pid, signal.SIGKILL)
        else:
            night.kill()
        night.wait()
        return True
    return False
