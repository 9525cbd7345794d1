"""Run a command on a disk without room, then with room: a small file system in memory.

``python full_disk.py HOME OUT WHAT FREE…`` within a mount namespace of its own. The home is
copied onto the file system, which is filled until FREE bytes are left, once for each FREE.
Then room is made and the command is given once more; what it came to is copied to OUT.
Printed is a JSON list of exit code and standard error.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_MB = 1 << 20


def in_namespace() -> list[str]:
    """Return how a command is given file systems of its own: as root, or as nearly root."""
    for said in (["unshare", "-m"], ["unshare", "-rm"]):
        tried = [*said, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return said
    raise OSError("no file system can be mounted here")


def leave_free(disk: Path, n_bytes: int) -> Path:
    """Fill a disk up to some bytes."""
    filler = disk / "filler"
    said = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(b"\0" * max(0, said.f_bavail * said.f_frsize - n_bytes))
    return filler


def main() -> None:
    from lib.vault_kills import COMMANDS

    home, out, what, *frees = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={24 * _MB}", "tmpfs", place]
        subprocess.run(mount, check=True)
        there = Path(place) / "home"
        shutil.copytree(home, there)
        found = []
        for free in [*map(int, frees), None]:
            filler = None if free is None else leave_free(Path(place), free)
            done = subprocess.run(
                [str(Path(sys.executable).with_name("rapport")), *COMMANDS[what]],
                env={**os.environ, "RAPPORT_HOME": str(there)},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            found.append((done.returncode, done.stderr))
            if filler:
                filler.unlink()
        shutil.copytree(there, out)
        subprocess.run(["umount", place], check=True)
    print(json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
