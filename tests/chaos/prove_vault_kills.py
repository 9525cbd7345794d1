"""Prove: a rotation and an erasure, SIGKILLed right before each of their changes of a file.

``make prove``. One trial is one place: the command is killed there, given again, and what
it came to is held against one that nobody disturbed. Each trial is a line of
``records/vault_kills.jsonl``, so that it can be stopped and started again.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import Home
from lib.proving import Record
from lib.vault_kills import (
    COMMANDS,
    end_state,
    is_over,
    lay_clinic,
    run_until,
    was_killed,
)


def trial(
    clinic: Path, folder: Path, what: str, at: int, expected: Any
) -> dict[str, Any]:
    """Kill a command at one place, give it again; return what was seen.

    What was killed after its end is over: an erasure given again says that the client was
    erased before; a rotation would be another one, so the next command is an ingest, which
    seals the store when it gives the lock back.
    """
    home = folder / "home"
    shutil.copytree(clinic, home)
    killed = was_killed(run_until(home, what, at))
    was_over = is_over(home, what)
    if was_over and what == "rotation":
        code = Home(home).run("ingest").returncode
    else:
        code = run_until(home, what, 0).returncode
    found = end_state(home)
    is_same = (code == 0 or was_over) and found == expected
    shutil.rmtree(home)
    return {"n": 1, "what": what, "at": at, "was_killed": killed, "good": is_same}


def main() -> int:
    """Go on until every place was tried; say how it went."""
    record = Record("vault_kills")
    done = {(line["what"], line["at"]) for line in record.lines}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lay_clinic(Home(folder / "clinic"))
        for what in COMMANDS:
            shutil.copytree(folder / "clinic", folder / what)
            n_changes = int(run_until(folder / what, what, 0).stdout)
            expected = end_state(folder / what)
            for at in range(1, n_changes + 1):
                if (what, at) not in done:
                    line = trial(folder / "clinic", folder, what, at, expected)
                    record.add(line | {"of": n_changes})
    print(f"vault_kills: {record.n} trials, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
