"""Who may read what is published: modes and group, at each publish (privacy.md A3)."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path

from rapport.errors import UsageError
from rapport.settings import Settings

FOLDERS = ("published", "dashboard", "digest")
# Others deliver into the inbox, and the sample is public.
_NOT_OURS = ("inbox", "sample", "extracts")


def group_id(settings: Settings) -> int | None:
    """Return the number of the group that may read, or None when none is set.

    Raises:
        UsageError: this machine has no such group (exit 2).
    """
    name = settings.security.shared_group
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(
            "security.shared_group: this machine has no such group",
            next_step="make the group, or correct rapport.toml; rapport doctor checks it",
            reason="group_unknown",
        ) from None


def share(settings: Settings) -> None:
    """Open the shared folders to their group for reading, and close the others.

    Raises:
        UsageError: no such group, or one that this user is not of (exit 2).
    """
    shared = settings.security.shared_read
    group = group_id(settings) if shared else None
    for name in FOLDERS:
        folder = settings.home / name
        if not folder.is_dir():
            continue
        for path in _below(folder):
            is_folder = path.is_dir()
            if name in shared:
                _give(path, group)
                path.chmod(0o750 if is_folder else 0o640)
            elif path.stat().st_mode & 0o077:
                path.chmod(0o700 if is_folder else 0o600)
    if shared:
        _give(settings.home, group)
        settings.home.chmod(0o710)  # to pass through, not to list


def _give(path: Path, group: int | None) -> None:
    if group is None or path.stat().st_gid == group:
        return
    try:
        os.chown(path, -1, group)
    except PermissionError:
        raise UsageError(
            "security.shared_group: this user is not of that group",
            next_step="add the user to the group, or choose another",
            reason="group_foreign",
        ) from None


def too_open(settings: Settings) -> tuple[list[str], list[str]]:
    """List what others than its readers may open: (below our folders, below the inbox).

    A shared folder may be read by its group, and by nobody else.
    """
    shared = settings.security.shared_read
    found: list[str] = []
    delivered: list[str] = []
    for path in sorted(settings.home.iterdir()):
        if path.is_symlink() or path.name in _NOT_OURS[1:]:
            continue
        wrong = 0o027 if path.name in shared else 0o077
        places = delivered if path.name in _NOT_OURS else found
        for each in _below(path):
            if each.stat().st_mode & wrong:
                places.append(each.relative_to(settings.home).as_posix())
    return found, delivered


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from (p for p in sorted(path.rglob("*")) if not p.is_symlink())
