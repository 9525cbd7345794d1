"""One SQLite file of RAPPORT_HOME, as it is or sealed (privacy.md A3).

A sealed file is read whole into memory and written whole when a transaction ends: readers
see the one before or the one after. Its write-ahead log would lie plain, so it has none.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from rapport.privacy.at_rest import (
    DiskKey,
    disk_keys,
    is_asked_for,
    is_sealed,
    kept_file,
    put_file,
    reseal,
)

_PATIENCE = 30.0
Isolation = Literal["DEFERRED"] | None


@contextmanager
def open_store(
    home: Path, path: Path, *, writes: bool, isolation_level: Isolation = "DEFERRED"
) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file of RAPPORT_HOME; one that is not there is made.

    Args:
        home: RAPPORT_HOME.
        path: the file.
        writes: what is done is kept; of a sealed file only then.
        isolation_level: as SQLite's own module takes it.

    Raises:
        KeyMissing: it is sealed, and no key of this vault opens it.
    """
    if not is_store_sealed(home, path):
        with closing(
            sqlite3.connect(path, timeout=_PATIENCE, isolation_level=isolation_level)
        ) as con:
            yield con
    elif writes:
        with _alone(path.parent), _unsealed(home, path, isolation_level) as con:
            before = _image(con)
            yield con
            after = _image(con)
            if after != before:
                # A sealed store stays sealed: only the settling of a night opens it.
                put_file(path, after, disk_keys(home)[0])
    else:
        with _unsealed(home, path, isolation_level) as con:
            yield con


def is_store_sealed(home: Path, path: Path) -> bool:
    """Tell whether a store is sealed; one without content is as settings say."""
    is_new = not path.exists() or path.stat().st_size == 0
    return is_asked_for(home) if is_new else is_sealed(path)


def reseal_store(path: Path, keys: Sequence[DiskKey], wanted: DiskKey | None) -> bool:
    """Write a store anew under the wanted key, or plain; return whether it was not so."""
    if wanted is None or is_sealed(path) or path.stat().st_size == 0:
        return path.stat().st_size > 0 and reseal(path, keys, wanted)
    with (
        closing(sqlite3.connect(path)) as con,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        con.execute("pragma wal_checkpoint(truncate)")
        con.backup(copy)
        image = copy.serialize()
    # Read and write by the file itself, not by a log beside it (SQLite file format, 1.3).
    put_file(path, image[:18] + b"\1\1" + image[20:], wanted)
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return True


@contextmanager
def _unsealed(
    home: Path, path: Path, isolation_level: Isolation
) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=isolation_level)) as con:
        if path.exists() and path.stat().st_size:
            con.deserialize(kept_file(home, path))
        yield con


def _image(con: sqlite3.Connection) -> bytes:
    """Return a store's bytes; none of one without a table, which SQLite refuses to give."""
    (n_pages,) = con.execute("pragma page_count").fetchone()
    return con.serialize() if n_pages else b""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: one after the other reads, changes and writes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise sqlite3.OperationalError("database is locked") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)
