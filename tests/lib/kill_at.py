"""Run a rapport command in this process and SIGKILL it right before its nth change of a file.

``python kill_at.py N COMMAND…``; with N = 0 nothing is killed and the number of changes is
printed. A change is whatever Python or SQLite is about to do to a file below RAPPORT_HOME:
open it for writing, rename, link or remove it, open a database, sync to disk.
"""

import os
import signal
import sys

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.link", "sqlite3.connect"}


class Killer:
    """Counts changes, and ends the process at one of them."""

    def __init__(self, home: str, at: int) -> None:
        self._home, self._at = os.path.realpath(home), at
        self.n_changes = 0
        self._sync = os.fsync

    def hook(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            is_change = bool(flags & (os.O_WRONLY | os.O_RDWR))
        else:
            is_change, path = event in _CHANGES, arguments[0] if arguments else ""
        if is_change and isinstance(path, str | bytes | os.PathLike):
            self._count(os.fsdecode(path))

    def fsync(self, handle: int) -> None:
        self._count(self._home)
        self._sync(handle)

    def _count(self, path: str) -> None:
        if os.path.abspath(path).startswith(self._home):
            self.n_changes += 1
            if self.n_changes == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    from rapport.cli import app

    killer = Killer(os.environ["RAPPORT_HOME"], int(sys.argv[1]))
    os.fsync = killer.fsync
    sys.addaudithook(killer.hook)
    app(args=sys.argv[2:], standalone_mode=False)
    print(killer.n_changes)


if __name__ == "__main__":
    main()
