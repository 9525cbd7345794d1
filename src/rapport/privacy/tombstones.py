"""Marks of erased people, by which rows that arrive again are left out (privacy.md A5).

A mark is an HMAC under the purge key: it tells nobody who was erased.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

_FILE = "tombstones.json"


def read_tombstones(home: Path) -> frozenset[str]:
    """Return every mark; none when nobody was erased."""
    path = home / "vault" / _FILE
    return frozenset(json.loads(path.read_text("utf-8")) if path.exists() else ())


def add_tombstones(home: Path, marks: Iterable[str]) -> None:
    """Add marks; those that are there stay, so that it may be repeated."""
    path = home / "vault" / _FILE
    every = sorted(read_tombstones(home) | set(marks))
    building = path.with_name(f"{_FILE}.building")
    handle = os.open(building, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(every, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(building, path)
