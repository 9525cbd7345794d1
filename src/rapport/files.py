"""A file of rapport's own is there whole or not at all, and for its owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def private_folder(path: Path) -> None:
    """Make a folder, and each missing one that it lies in, for its owner alone.

    Whatever the umask: a library call or an Airflow of somebody else's does not set ours.
    A folder that is there keeps its mode.

    Raises:
        OSError: one could not be made, or a file has its name.
    """
    missing = [path, *(folder for folder in path.parents if not folder.exists())]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, mode 0600, on the disk before it takes the name.

    A reader, or the next start after a kill or a power cut, sees the old content or the new.

    Args:
        path: the file; its folder exists.
        content: text is written as UTF-8, its line ends as they are.

    Raises:
        OSError: it could not be written; the old file stands.
    """
    write_pieces(path, [content.encode() if isinstance(content, str) else content])


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file as ``write_whole`` does, by pieces that are not held all at once.

    Raises:
        OSError: it could not be written; the old file stands, as it does whatever else the
            pieces raise.
    """
    building = path.with_name(f"{path.name}.building")
    try:
        handle = os.open(building, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(building, path)
    except BaseException:
        building.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """See that a file's bytes, or the names in a folder, outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
