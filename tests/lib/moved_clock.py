"""A machine whose clock stands elsewhere: the same commands, under a moved wall clock."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def build_clock(folder: Path) -> Path:
    """Compile the library that moves a process's wall clock (a C compiler is needed)."""
    library = folder / "moved_clock.so"
    source = Path(__file__).with_name("moved_clock.c")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
        check=True,
    )
    return library


def clock_at(
    library: Path, moment: datetime, *, jump_s: int = 0, after_s: float = 0
) -> dict[str, str]:
    """Return the environment of a process for which it is that moment now.

    Args:
        library: what ``build_clock`` compiled.
        moment: an aware moment.
        jump_s: how far the clock jumps, forward or back.
        after_s: when it jumps, in true seconds from now.
    """
    distance = round(moment.timestamp() - time.time())
    found = {"LD_PRELOAD": str(library), "PROVE_CLOCK": str(distance)}
    if jump_s:
        found["PROVE_JUMP"] = f"{round(time.time() + after_s)} {jump_s}"
    return found


class SharedClock:
    """The clock of a system that runs: moved, every process of it jumps at once.

    Attributes:
        environment: of the processes that are to have it.
    """

    def __init__(self, folder: Path) -> None:
        self._distance = folder / "clock"
        self._distance.write_bytes(bytes(8))
        self.environment = {
            "LD_PRELOAD": str(build_clock(folder)),
            "PROVE_CLOCK_FILE": str(self._distance),
        }

    def jump_to(self, moment: datetime) -> None:
        """Make it that (aware) moment now."""
        distance = round(moment.timestamp() - time.time())
        with self._distance.open("r+b", buffering=0) as file:
            file.write(distance.to_bytes(8, sys.byteorder, signed=True))


def now_under(clock: dict[str, str]) -> datetime:
    """Return what a process under that clock takes for now."""
    said = subprocess.run(
        ["date", "+%s"],
        env=os.environ | clock,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return datetime.fromtimestamp(int(said), UTC)
