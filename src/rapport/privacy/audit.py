"""The audit log ``vault/audit.jsonl``: append-only and hash-chained (privacy.md A4)."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rapport.privacy.chain import ChainHead, append_entry, chain_head, verify_chain


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
    for copy in sorted(set(copies), key=lambda said: int(said.partition(":")[0])):
        seq, _, said = copy.partition(":")
        if int(seq) > len(lines):
            wrong.append(
                f"audit log: its end is cut off; a night saw entry {seq}, and"
                f" {len(lines)} are left"
            )
            continue
        try:
            found = json.loads(lines[int(seq) - 1]).get("hash")
        except (ValueError, AttributeError):
            found = None
        if found != said:
            wrong.append(f"audit log, line {seq}: not the entry that a night saw")
    return wrong


def _path(home: Path) -> Path:
    return home / "vault" / "audit.jsonl"
