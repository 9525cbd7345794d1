"""The control store's seal: its bytes as rapport left them, and copies of it (ADR 0053).

SQLite notices a broken page, but not a flipped bit within a value. So the sha256 of the
whole file is written beside it whenever the writer's lock is given back, and taken away
before the first change: while it lies there, the file must be what it says. A kill leaves
no seal, and the next writer seals anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from rapport.errors import DiskFull, StateDamaged, is_disk_full
from rapport.files import sync, write_whole

# The last published night's copy, and the one before, should that one be damaged too.
COPIES = 2


def store_path(home: Path) -> Path:
    """Return where the control store of a RAPPORT_HOME lies."""
    return home / "state" / "rapport.sqlite"


def backup_folder(store: Path) -> Path:
    """Return where copies of the store lie."""
    return store.parent / "backup"


def write_seal(store: Path) -> None:
    """Note the store's bytes; the caller keeps writers out."""
    _write(_seal_path(store), _sha256(store))


def break_seal(store: Path) -> None:
    """Take the seal away: the store is about to change."""
    path = _seal_path(store)
    if path.exists():
        path.unlink(missing_ok=True)
        sync(path.parent)  # else a power cut could bring it back


def is_sealed(store: Path) -> bool:
    """Tell whether a seal lies there."""
    return _seal_path(store).exists()


def check_seal(store: Path) -> None:
    """Hold the store against its seal; without one there is nothing to hold it against.

    Raises:
        StateDamaged: the bytes are not those that rapport left.
    """
    while (said := _read(_seal_path(store))) is not None:
        try:
            found = _sha256(store).encode()
        except FileNotFoundError:
            raise StateDamaged("missing") from None
        if found == said:
            return
        # A writer takes the seal away first: one that still lies there was true.
        if _read(_seal_path(store)) == said:
            raise StateDamaged("altered since rapport wrote it")


def copy_store(store: Path, copy: Path) -> None:
    """Copy the store, synced, under a name that is there whole or not at all.

    Raises:
        DiskFull: no room; nothing of it is kept.
    """
    copy.parent.mkdir(exist_ok=True, mode=0o700)
    for left in copy.parent.glob("*.building"):
        left.unlink()
    building = copy.with_name(f"{copy.name}.building")
    try:
        shutil.copyfile(store, building)
        building.chmod(0o600)
        with building.open("rb") as file:
            os.fsync(file.fileno())
        _write(_seal_path(copy), _sha256(building))
        os.replace(building, copy)
    except OSError as error:
        building.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFull("copying the control state") from None
        raise


def copies(store: Path) -> list[Path]:
    """List the copies of published nights, newest first."""
    folder = backup_folder(store)
    return sorted(folder.glob("rapport.r_*.sqlite"), reverse=True)


def every_copy(store: Path) -> list[Path]:
    """List all copies: of published nights, and of before a migration."""
    return sorted(backup_folder(store).glob("*.sqlite"))


def drop_old_copies(store: Path) -> None:
    """Keep the newest copies of published nights."""
    for copy in copies(store)[COPIES:]:
        copy.unlink()
        break_seal(copy)


def drop_copies(store: Path) -> None:
    """Remove every copy: what was deleted from the store must be in none."""
    shutil.rmtree(backup_folder(store), ignore_errors=True)


def _seal_path(store: Path) -> Path:
    return store.with_name(f"{store.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, said: str) -> None:
    write_whole(path, said)
    sync(path.parent)
