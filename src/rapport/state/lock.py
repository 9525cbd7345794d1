"""One writer at a time: a lock that the system itself releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rapport.errors import RapportError, WriterBusy
from rapport.files import private_folder
from rapport.state.control import ControlState
from rapport.state.seal import check_seal, is_sealed, store_path

_held: set[Path] = set()


@contextmanager
def writer_lock(home: Path) -> Iterator[None]:
    """Hold the writer's lock of a RAPPORT_HOME; within one process it may nest.

    The control store is held against its seal at the start, and sealed at the end.

    Raises:
        WriterBusy: another process holds it (exit 5).
        StateDamaged: the control store is not what the last writer left.
    """
    path = home / "state" / "writer.lock"
    if path in _held:
        yield
        return
    private_folder(path.parent)
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
        check_seal(store_path(home))
        _held.add(path)
        try:
            yield
        finally:
            _seal(home)
            _held.discard(path)
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _seal(home: Path) -> None:
    """Seal the store; one that can't be now is sealed by the next writer."""
    store = store_path(home)
    if store.exists() and not is_sealed(store):
        with suppress(OSError, sqlite3.Error, RapportError):
            ControlState(home).seal()
