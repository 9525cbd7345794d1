"""The audit log ``vault/audit.jsonl``: append-only and hash-chained (privacy.md A4)."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import rfc8785

_FIRST = "0" * 64


@dataclass(frozen=True)
class AuditHead:
    """The last entry of the chain: its number and its hash."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def append_audit(home: Path, action: str, object_: str, reason: str) -> AuditHead:
    """Append one entry, synced to disk, and return the new head."""
    path = home / "vault" / "audit.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        head = audit_head(home) or AuditHead(0, _FIRST)
        entry: dict[str, int | str] = {
            "seq": head.seq + 1,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": getpass.getuser(),
            "action": action,
            "object": object_,
            "reason": reason,
            "prev": head.hash,
        }
        entry["hash"] = _hash(entry)
        os.write(handle, json.dumps(entry, sort_keys=True).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    return AuditHead(head.seq + 1, str(entry["hash"]))


def audit_head(home: Path) -> AuditHead | None:
    """Return the last entry's number and hash, or None for an empty log."""
    path = home / "vault" / "audit.jsonl"
    if not path.exists():
        return None
    lines = path.read_text("utf-8").splitlines()
    if not lines:
        return None
    entry = json.loads(lines[-1])
    return AuditHead(entry["seq"], entry["hash"])


def verify_audit(home: Path, copies: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with the chain, in words; nothing when it is whole.

    Args:
        home: RAPPORT_HOME.
        copies: heads that nights copied, ``seq:hash``: they show a cut tail.
    """
    path = home / "vault" / "audit.jsonl"
    lines = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
    return _broken_links(lines) + _broken_copies(lines, copies)


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


def _broken_links(lines: list[str]) -> list[str]:
    wrong: list[str] = []
    expected_seq, expected_prev = 1, _FIRST
    for number, line in enumerate(lines, start=1):
        try:
            entry = dict(json.loads(line))
        except (ValueError, TypeError):
            return [*wrong, f"audit log, line {number}: not readable"]
        said = entry.pop("hash", "")
        if entry.get("seq") != expected_seq or entry.get("prev") != expected_prev:
            wrong.append(f"audit log, line {number}: the chain is broken")
        if said != _hash(entry):
            wrong.append(f"audit log, line {number}: altered after it was written")
        expected_seq, expected_prev = int(entry.get("seq", 0)) + 1, said
    return wrong


def _hash(entry: dict[str, int | str]) -> str:
    return hashlib.sha256(rfc8785.dumps(dict(entry))).hexdigest()
