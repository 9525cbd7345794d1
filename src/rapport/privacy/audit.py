"""The audit log ``vault/audit.jsonl``: append-only and hash-chained (privacy.md A4)."""

from __future__ import annotations

import getpass
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


def verify_audit(home: Path) -> list[str]:
    """Return what is wrong with the chain, in words; nothing when it is whole."""
    return verify_chain(_path(home), "audit log")


def _path(home: Path) -> Path:
    return home / "vault" / "audit.jsonl"
