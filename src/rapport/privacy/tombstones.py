"""Marks of erased people, by which rows that arrive again are left out (privacy.md A5).

A mark is an HMAC under the purge key: it tells nobody who was erased.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rapport.files import write_whole

_FILE = "tombstones.json"


def read_tombstones(home: Path) -> frozenset[str]:
    """Return every mark; none when nobody was erased."""
    path = home / "vault" / _FILE
    return frozenset(json.loads(path.read_text("utf-8")) if path.exists() else ())


def add_tombstones(home: Path, marks: Iterable[str]) -> None:
    """Add marks; those that are there stay, so that it may be repeated."""
    path = home / "vault" / _FILE
    every = sorted(read_tombstones(home) | set(marks))
    write_whole(path, json.dumps(every))
