"""A night, and all who want to write while it runs."""

import random
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from conftest import Home, table
from lib.nights import start_night
from lib.two_nights import TONIGHT
from rapport.errors import ExitCode
from rapport.state import ControlState

COMMANDS = (
    ("night", "--as-of", TONIGHT),
    ("ingest",),
    ("build", "--as-of", TONIGHT),
    ("publish",),
    ("housekeeping",),
)


@dataclass
class Contest:
    """What a night with contenders came to."""

    codes: list[int]
    n_met: int
    faults: list[str]
    outlived: str = (
        ""  # the command that was still waiting to begin when the night ended
    )


def same_moment(home: Home) -> tuple[subprocess.Popen, int | None]:
    """Start two nights at once; return the one that runs, and how the other ended.

    They build in any case: a killed night may have published all that there was.
    """
    both = [start_night(home.path, TONIGHT, "--full-refresh") for _ in range(2)]
    while all(one.poll() is None for one in both):
        time.sleep(0.05)
    first, other = sorted(both, key=lambda one: one.poll() is None)
    return other, first.returncode


def contest(home: Home, night: subprocess.Popen, waits_s: list[float]) -> Contest:
    """Let a command want to write at each moment while a night runs.

    Before each, a delivery is dropped: one that comes during a build is not of it.
    """
    found = Contest([], 0, [])
    for number, wait_s in enumerate(waits_s):
        with suppress(subprocess.TimeoutExpired):
            night.wait(timeout=wait_s)
        if night.poll() is not None:
            break
        if is_locked(home.path):
            home.deliver(f"late-{number}", {"clients.csv": table(f"client_id\nZqKestrelChartLate{number}")})  # fmt: skip
        command = COMMANDS[number % len(COMMANDS)]
        done = home.run(*command, check=None)
        if night.poll() is None:
            found.n_met += 1
            found.codes.append(done.returncode)
            said = done.stdout + done.stderr  # housekeeping tells its steps on stdout
            if done.returncode != ExitCode.BUSY or "another writer" not in said:
                found.faults.append(f"{command[0]} ended with {done.returncode}")
            if "Traceback" in said:
                found.faults.append(f"{command[0]} showed a traceback")
        else:
            found.outlived = command[0]
    night.wait()
    return found


def is_locked(home: Path) -> bool:
    """Tell whether a writer has put its number into the lock."""
    lock = home / "state" / "writer.lock"
    return lock.exists() and bool(lock.read_bytes())


def taken_in_once(home: Home) -> bool:
    """Tell whether, after an ingest, the ledger knows each delivery once, and whole."""
    home.run("ingest")
    home.run("ingest")
    state = ControlState(home.path)
    n_there = len(list((home.path / "inbox" / "canonical").glob("*/_SUCCESS")))
    sums = all(row[4] == sum(row[5:10]) for row in state.ledger())
    return len(state.deliveries()) == n_there and sums


def moments(night_s: float, n: int, seed: str) -> list[float]:
    """Return waits between contenders, random, so that most meet the night."""
    rng = random.Random(seed)
    return [rng.uniform(0, 2 * night_s / (n + 2) * 0.6) for _ in range(n)]
