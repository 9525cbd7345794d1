"""Who may read what is published: modes and group, at each publish (privacy.md A3)."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path

from rapport.errors import UsageError
from rapport.settings import Settings

FOLDERS = ("published", "dashboard", "digest")
RELEASES = "releases"
# Others deliver into the inbox, and the sample is public.
_NOT_OURS = ("inbox", "sample")


def group_id(settings: Settings) -> int | None:
    """Return the number of the group that may read, or None when none is set.

    Raises:
        UsageError: this machine has no such group (exit 2).
    """
    return _group(settings.security.shared_group, "shared_group")


def researcher_group_id(settings: Settings) -> int | None:
    """Return the number of the group that may read releases: their own, or the shared one.

    Raises:
        UsageError: this machine has no such group (exit 2).
    """
    own = settings.security.researcher_group
    return group_id(settings) if own is None else _group(own, "researcher_group")


def _group(name: str | None, setting: str) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(
            f"security.{setting}: this machine has no such group",
            next_step="make the group, or correct rapport.toml; rapport doctor checks it",
            reason="group_unknown",
        ) from None


def share(settings: Settings) -> None:
    """Open the shared folders to their group for reading, and close the others.

    Raises:
        UsageError: no such group, or one that this user is not of (exit 2).
    """
    shared = [name for name in settings.security.shared_read if name != RELEASES]
    group = group_id(settings) if shared else None
    _let_through(settings)
    share_releases(settings)
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


def share_releases(settings: Settings) -> None:
    """Open released packages and their public keys to the researchers, or close them.

    What is built and not released, requests and the ledger stay closed in any case.

    Raises:
        UsageError: no such group, or one that this user is not of (exit 2).
    """
    folder = settings.home / "extracts"
    if not folder.is_dir():
        return
    is_shared = RELEASES in settings.security.shared_read
    group = researcher_group_id(settings) if is_shared else None
    for path in released(folder):
        for each in _below(path):
            is_folder = each.is_dir()
            if is_shared:
                _give(each, group)
                each.chmod(0o750 if is_folder else 0o640)
            elif each.stat().st_mode & 0o077:
                each.chmod(0o700 if is_folder else 0o600)
        for each in {path.parent, folder}:
            if is_shared:
                _give(each, group)
                each.chmod(0o710)
            elif each.stat().st_mode & 0o077:
                each.chmod(0o700)
    _let_through(settings)


def released(folder: Path) -> list[Path]:
    """List what of ``extracts/`` researchers may hold: released packages, public keys."""
    keys = folder / "keys"
    return [*sorted(folder.glob("*/release")), *([keys] if keys.is_dir() else [])]


def _let_through(settings: Settings) -> None:
    """Let readers pass through the home, not list it.

    A folder has one group: where researchers have their own, everyone may pass.
    """
    shared = settings.security.shared_read
    if not shared:
        return
    groups = [group_id(settings)] if set(shared) != {RELEASES} else []
    if RELEASES in shared:
        groups.append(researcher_group_id(settings))
    _give(settings.home, groups[0])
    settings.home.chmod(0o710 if len(set(groups)) == 1 else 0o711)


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
    extracts = settings.home / "extracts"
    readable: set[Path] = set()
    passed: set[Path] = set()
    if RELEASES in shared:
        for path in released(extracts):
            readable.update(_below(path))
            passed.update((path.parent, extracts))
    found: list[str] = []
    delivered: list[str] = []
    for path in sorted(settings.home.iterdir()):
        if path.is_symlink() or path.name in _NOT_OURS[1:]:
            continue
        for each in _below(path):
            is_delivered = path.name in _NOT_OURS or each.is_relative_to(
                extracts / "requests"
            )
            wrong = 0o027 if path.name in shared or each in readable else 0o077
            if each in passed:
                wrong = 0o067
            if each.stat().st_mode & wrong:
                places = delivered if is_delivered else found
                places.append(each.relative_to(settings.home).as_posix())
    return found, delivered


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from (p for p in sorted(path.rglob("*")) if not p.is_symlink())
