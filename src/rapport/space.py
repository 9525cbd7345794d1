"""Room on the disk, asked for before a night begins (ADR 0054)."""

from __future__ import annotations

import shutil
from pathlib import Path
from stat import S_ISREG

from rapport.errors import NoRoomForANight
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import (
    candidate_path,
    kept_path,
    published_path,
    work_path,
)

# A night's files grow with its data: a fifth more than last night's.
GROWTH = 1.2
# What a first night writes: tables that stand whatever the clinic's size, and so many
# bytes for each delivered one (measured from 12 to 200,000 clients, ADR 0054).
FIRST_NIGHT_FIXED, FIRST_NIGHT_A_BYTE = 75e6, 5.0
_GB = 1e9


def require_room(settings: Settings) -> None:
    """Stop a night that would fill the disk, before it writes anything.

    ``warehouse.min_free_gb = 0`` asks nothing.

    Raises:
        NoRoomForANight: with what is free and what is needed (exit 1).
    """
    least = settings.warehouse.min_free_gb * _GB
    if not least:
        return
    free = shutil.disk_usage(settings.home).free
    needed = least + night_bytes(settings)
    if free < needed:
        raise NoRoomForANight(free / _GB, needed / _GB)


def night_bytes(settings: Settings) -> float:
    """Estimate how many bytes more than now lie on the disk while a night runs.

    Last night's working file and candidate are deleted first and written again, the
    kept database and the snapshot stand beside their successors, and what arrived goes
    into bronze. A first night is told by what arrived alone.
    """
    replaced = _size(work_path(settings)) + _size(candidate_path(settings))
    beside = _size(kept_path(settings)) + _size(published_path(settings))
    arrived = _arrived(settings)
    if not beside:
        return FIRST_NIGHT_FIXED + FIRST_NIGHT_A_BYTE * arrived
    return GROWTH * (replaced + beside) - replaced + arrived


def _arrived(settings: Settings) -> int:
    """Return the bytes in the inbox that came since the last run began."""
    runs = ControlState(settings.home).runs()
    since = runs[-1].started_at.timestamp() if runs else 0.0
    return sum(
        _size(path, since)
        for path in (settings.home / "inbox").rglob("*")
        if not path.is_symlink()
    )


def _size(path: Path, since: float = 0.0) -> int:
    """Return a file's bytes; 0 for one that is older, or gone while others deliver."""
    try:
        said = path.lstat()
    except OSError:
        return 0
    return said.st_size if S_ISREG(said.st_mode) and said.st_mtime >= since else 0
