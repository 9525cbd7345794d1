"""The audit log ``vault/audit.jsonl``: append-only and hash-chained (privacy.md A4)."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rapport.privacy.chain import (
    ChainHead,
    append_entry,
    chain_head,
    cut_chain,
    verify_chain,
)


def append_audit(home: Path, action: str, object_: str, reason: str) -> ChainHead:
    """Append one entry, synced to disk, and return the new head."""
    return append_entry(
        _path(home),
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": getpass.getuser(),
            "action": action,
            "object": object_,
            "reason": reason,
        },
    )


def audit_head(home: Path) -> ChainHead | None:
    """Return the last entry's number and hash, or None for an empty log."""
    return chain_head(_path(home))


def verify_audit(home: Path, copies: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with the chain, in words; nothing when it is whole.

    Args:
        home: RAPPORT_HOME.
        copies: heads that nights copied, ``seq:hash``: they show a cut tail.
    """
    path = _path(home)
    lines = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
    return verify_chain(path, "audit log") + _broken_copies(lines, copies)


def _broken_copies(lines: list[str], copies: Iterable[str]) -> list[str]:
    """Hold the heads that nights saw against the entries that stand there now."""
    wrong = []
    n_cut = _n_cut(lines)
    for copy in sorted(set(copies), key=lambda said: int(said.partition(":")[0])):
        seq, _, said = copy.partition(":")
        place = int(seq) - n_cut
        if place > len(lines):
            wrong.append(
                f"audit log: its end is cut off; a night saw entry {seq}, and"
                f" {len(lines)} are left"
            )
            continue
        if place < 1:  # over its time and gone
            continue
        try:
            found = json.loads(lines[place - 1]).get("hash")
        except (ValueError, AttributeError):
            found = None
        if found != said:
            wrong.append(f"audit log, line {seq}: not the entry that a night saw")
    return wrong


def _n_cut(lines: list[str]) -> int:
    try:
        return int(json.loads(lines[0])["seq"]) - 1
    except (IndexError, KeyError, TypeError, ValueError):
        return 0


def cut_audit(home: Path, before: datetime) -> tuple[int, int]:
    """Remove entries older than a moment; return how many, and their bytes.

    The log says itself where it begins, so that its chain can be verified all the same.
    """
    path = _path(home)
    if verify_chain(path, "audit log"):
        return 0, 0  # whoever finds out who changed it needs all of it
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    n_old = 0
    while n_old < len(lines) and _is_before(lines[n_old], before):
        n_old += 1
    if not n_old:
        return 0, 0
    cut_chain(
        path,
        n_old,
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": getpass.getuser(),
            "reason": "over its time (retention.audit_days)",
        },
    )
    return n_old, sum(len(line) for line in lines[:n_old])


def _is_before(line: bytes, moment: datetime) -> bool:
    return datetime.fromisoformat(json.loads(line)["at"]) < moment


def _path(home: Path) -> Path:
    return home / "vault" / "audit.jsonl"
