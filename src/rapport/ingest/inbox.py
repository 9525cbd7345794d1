"""What lies in the inbox: complete deliveries, ones still being written, bare files.

The event is a doorbell, never the truth: whatever rang, the inbox is listed against the
ledger. Names of folders and files may hold a patient's name; they stay in this module
and the vault, and are told by their opaque names only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rapport.settings import SOURCE_NAME, Settings

SUCCESS = "_SUCCESS"
MANIFEST = "manifest.json"
_JUNK = frozenset(["__macosx", ".ds_store", "thumbs.db", "desktop.ini"])
_STILL_WRITTEN = (".part", ".tmp", ".crdownload", ".filepart")


@dataclass(frozen=True)
class Found:
    """One complete delivery folder of the inbox."""

    source: str
    delivery_id: str
    folder: Path

    def members(self) -> list[Path]:
        """List what the delivery holds, bytewise by name, marker left out."""
        return sorted(
            (
                entry
                for entry in self.folder.iterdir()
                if entry.name != SUCCESS
                and not is_still_written(entry.name)
                and not is_junk(entry.name)
            ),
            key=lambda entry: os.fsencode(entry.name),
        )

    def n_junk(self) -> int:
        """Count what an operating system left in the folder."""
        return sum(is_junk(entry.name) for entry in self.folder.iterdir())

    def stat_mark(self) -> str:
        """Return a hash of names, sizes and times: equal marks need no hashing."""
        mark = hashlib.sha256()
        for member in self.members():
            said = member.lstat()
            mark.update(os.fsencode(member.name))
            mark.update(f"|{said.st_size}|{said.st_mtime_ns}|{said.st_ino};".encode())
        return mark.hexdigest()

    def digest(self) -> str:
        """Return the sha256 over the names and bytes of all members."""
        total = hashlib.sha256()
        for member in self.members():
            total.update(os.fsencode(member.name) + b"\0")
            if is_plain_file(member):
                total.update(file_sha256(member))
        return total.hexdigest()


@dataclass(frozen=True)
class Waiting:
    """Deliveries of one source that are not complete, and the age of the oldest."""

    source: str
    n_deliveries: int
    oldest_hours: float


@dataclass(frozen=True)
class Discovery:
    """The inbox at one moment."""

    complete: tuple[Found, ...]
    waiting: tuple[Waiting, ...]
    n_unnamed_sources: int


def discover(settings: Settings, *, settle: bool = True) -> Discovery:
    """List the inbox; bare files that stood still are wrapped into deliveries first.

    Args:
        settings: the settings.
        settle: wait for bare files that changed within ``inbox.settle_seconds``.
    """
    inbox = settings.home / "inbox"
    complete: list[Found] = []
    waiting: list[Waiting] = []
    n_unnamed = 0
    for folder in _folders(inbox):
        if not SOURCE_NAME.match(folder.name):
            n_unnamed += 1
            continue
        _wrap_bare_files(folder, settings.inbox.settle_seconds if settle else None)
        ages = []
        for delivery in _folders(folder):
            found = Found(folder.name, delivery.name, delivery)
            if (delivery / SUCCESS).exists() or _complete_wrapping(found):
                complete.append(found)
            else:
                ages.append((time.time() - delivery.stat().st_mtime) / 3600)
        if ages:
            waiting.append(Waiting(folder.name, len(ages), max(0.0, max(ages))))
    return Discovery(tuple(complete), tuple(waiting), n_unnamed)


def _folders(parent: Path) -> Iterator[Path]:
    if not parent.is_dir():
        return
    for entry in sorted(parent.iterdir(), key=lambda e: os.fsencode(e.name)):
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield entry


def _wrap_bare_files(source: Path, settle_seconds: float | None) -> None:
    """Move each bare file that stood still into a delivery folder of its own.

    The folder is the file's name, ``~`` and the first 12 hex digits of its sha256. A kill
    between the move and the marker is mended by ``_complete_wrapping``.
    """
    bare = [
        entry
        for entry in source.iterdir()
        if is_plain_file(entry) and not is_still_written(entry.name)
    ]
    for entry in sorted(bare, key=lambda e: os.fsencode(e.name)):
        if not _stood_still(entry, settle_seconds):
            continue
        folder = source / f"{entry.name}~{file_sha256(entry).hex()[:12]}"
        folder.mkdir(exist_ok=True, mode=0o700)
        os.replace(entry, folder / entry.name)
        (folder / SUCCESS).touch()


def _stood_still(file: Path, settle_seconds: float | None) -> bool:
    if settle_seconds is None:
        return False
    before = file.stat()
    left = settle_seconds - (time.time() - before.st_mtime)
    if left > 0:
        time.sleep(left)
    after = file.stat()
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _complete_wrapping(found: Found) -> bool:
    name, _, mark = found.delivery_id.rpartition("~")
    file = found.folder / name
    if not name or len(mark) != 12 or not is_plain_file(file):
        return False
    if file_sha256(file).hex()[:12] != mark:
        return False
    (found.folder / SUCCESS).touch()
    return True


def is_still_written(name: str) -> bool:
    """Tell whether a name means that the file is not finished, or is not data."""
    return name.startswith((".", "~$")) or name.lower().endswith(_STILL_WRITTEN)


def is_junk(name: str) -> bool:
    """Tell whether an operating system left this file or folder there."""
    return name.lower() in _JUNK or name.startswith("._")


def is_plain_file(path: Path) -> bool:
    """Tell whether a path is a file itself: no folder, no link, no device."""
    return stat.S_ISREG(path.lstat().st_mode)


def file_sha256(path: Path) -> bytes:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
