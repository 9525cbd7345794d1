"""A night on a disk without room at each of its steps: a small file system in memory.

    python full_night.py HOME OUT FREE

within a mount namespace of its own. HOME, with tonight's deliveries in its inbox, is copied
onto the file system. Before each step it is filled until FREE bytes are left; the step must
say so, and the snapshot that stood must stand. Then room is made, and the same step
completes. The home it came to is copied to OUT; printed is a JSON line a step. The extract
is asked of a laid snapshot, since a small clinic's is refused for its size.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lib.extract_home import lay_home, spec
from lib.full_disk import in_namespace, leave_free
from lib.two_nights import TONIGHT, TwoNights
from rapport.errors import ExitCode
from rapport.ingest.inbox import file_sha256

_MB = 1 << 20
STEPS = {
    "ingest": ("ingest",),
    "build": ("build", "--as-of", TONIGHT),
    "gate": ("validate",),
    "publish": ("publish",),
    "dashboard": ("dashboard",),
    "digest": ("digest",),
    "extract": ("extract", "request"),
}


def night_lines(nights: TwoNights, folder: Path, free: int) -> list[dict[str, Any]]:
    """Take tonight through a disk that is filled at each step; return a line a step."""
    home = nights.disturbed_home(folder / "home").path
    # The disk is full within a step here; that a night is not begun has a test of its own.
    (home / "rapport.toml").write_text("[warehouse]\nmin_free_gb = 0.0\n")
    done = subprocess.run(
        [*in_namespace(), sys.executable, __file__, str(home),
         str(folder / "out"), str(free)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_held(line: dict[str, Any]) -> bool:
    """Tell whether a step was refused in words, left what stood, and then completed."""
    # An extract that is built waits for a person, and says so.
    done = ExitCode.NEEDS_PERSON if line["step"] == "extract" else ExitCode.DONE
    is_refused = line["code"] == 1 and line["is_told"] and line["is_clean"]
    return (
        (is_refused or line["code"] == done)
        and line["stands"]
        and line["again"] == done
    )


def disturbed_step(
    disk: Path, home: Path, command: list[str], free: int
) -> dict[str, Any]:
    """Run a step without room, then with it; return what both came to."""
    snapshot = home / "published" / "rapport.duckdb"
    before = file_sha256(snapshot)
    filler = leave_free(disk, free)
    full = _run(home, command)
    stands = file_sha256(snapshot) == before
    filler.unlink()
    is_told = "no room left on the disk" in full.stderr
    again = _run(home, command) if is_told else full
    return {
        "code": full.returncode,
        "is_told": is_told,
        "is_clean": "Traceback" not in full.stderr,
        "stands": stands or not is_told,
        "again": again.returncode,
        "said": "" if is_told else full.stderr[-600:],
        "said_again": again.stderr[-600:] if again.returncode else "",
    }


def _run(home: Path, command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(Path(sys.executable).with_name("rapport")), *command],
        env={**os.environ, "RAPPORT_HOME": str(home), "TMPDIR": str(home.parent / "tmp")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def main() -> None:
    home, out, free = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={400 * _MB}", "tmpfs", place]
        subprocess.run(mount, check=True)
        there = Path(place) / "home"
        shutil.copytree(home, there)
        (Path(place) / "tmp").mkdir()
        request = Path(place) / "request.toml"
        request.write_text(spec())
        laid = lay_home(Path(place) / "laid", 400).home
        for step, command in STEPS.items():
            is_extract = step == "extract"
            seen = disturbed_step(
                Path(place),
                laid if is_extract else there,
                [*command, str(request)] if is_extract else list(command),
                int(free),
            )
            print(json.dumps({"step": step, **seen}), flush=True)
        shutil.copytree(there, out)
        subprocess.run(["umount", place], check=True)


if __name__ == "__main__":
    main()
