"""One writer at a time: a lock that the system itself releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rapport.errors import WriterBusy

_held: set[Path] = set()


@contextmanager
def writer_lock(home: Path) -> Iterator[None]:
    """Hold the writer's lock of a RAPPORT_HOME; within one process it may nest.

    Raises:
        WriterBusy: another process holds it (exit 5).
    """
    path = home / "state" / "writer.lock"
    if path in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            raise WriterBusy(
                f"another writer holds the warehouse (process {holder or 'unknown'})",
                next_step="wait until it ends, then run the command again; "
                "rapport status shows the run",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)
