"""Append-only, hash-chained lines of JSON: the audit log and the release ledger.

Each entry holds ``seq``, ``prev`` (the hash before it, the first 64 zeros) and ``hash``,
the SHA-256 of the RFC 8785 canonical JSON of the entry without it (privacy.md A4).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785

from rapport.files import private_folder, write_whole

_FIRST = "0" * 64


@dataclass(frozen=True)
class ChainHead:
    """The last entry of a chain: its number and its hash."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = ChainHead(0, _FIRST)


def canonical_digest(said: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an object's canonical JSON, in hex."""
    return hashlib.sha256(rfc8785.dumps(dict(said))).hexdigest()


def append_entry(path: Path, fields: Mapping[str, Any]) -> ChainHead:
    """Append one entry, synced to disk, and return the new head."""
    private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        head = chain_head(path) or START
        entry = {"seq": head.seq + 1, **fields, "prev": head.hash}
        entry["hash"] = canonical_digest(entry)
        os.write(handle, json.dumps(entry, sort_keys=True).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    return ChainHead(head.seq + 1, str(entry["hash"]))


def chain_entries(path: Path) -> list[dict[str, Any]]:
    """Return every entry, oldest first; nothing when there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def chain_head(path: Path) -> ChainHead | None:
    """Return the last entry's number and hash, or None for an empty chain."""
    entries = chain_entries(path)
    return ChainHead(entries[-1]["seq"], entries[-1]["hash"]) if entries else None


def verify_chain(path: Path, name: str) -> list[str]:
    """Return what is wrong with a chain, in words; nothing when it is whole."""
    if not path.exists():
        return []
    wrong: list[str] = []
    expected_seq, expected_prev = 1, _FIRST
    lines = path.read_text("utf-8", "replace").splitlines()
    start = _cut_before(lines)
    if start is not None:
        expected_seq, expected_prev = start.seq + 1, start.hash
    for number, line in enumerate(lines, start=1):
        try:
            entry = dict(json.loads(line))
        except (ValueError, TypeError):
            return [*wrong, f"{name}, line {number}: not readable"]
        said = entry.pop("hash", "")
        if entry.get("seq") != expected_seq or entry.get("prev") != expected_prev:
            wrong.append(f"{name}, line {number}: the chain is broken")
        if said != canonical_digest(entry):
            wrong.append(f"{name}, line {number}: altered after it was written")
        expected_seq, expected_prev = int(entry.get("seq", 0)) + 1, said
    return wrong


CUT = "chain_cut"


def cut_chain(path: Path, n_entries: int, cut: Mapping[str, Any]) -> None:
    """Remove the oldest entries of a chain, and enter where it begins from now on.

    Args:
        path: the chain.
        n_entries: how many entries go.
        cut: fields of the entry that says so; it gets ``action`` and ``object``.
    """
    entries = chain_entries(path)
    last = entries[n_entries - 1]
    object_ = f"{last['seq']}:{last['hash']}"
    append_entry(path, {**cut, "action": CUT, "object": object_})
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        kept = path.read_bytes().splitlines(keepends=True)[n_entries:]
        write_whole(path, b"".join(kept))
    finally:
        os.close(handle)


def _cut_before(lines: list[str]) -> ChainHead | None:
    """Return the entry before the first that is left, as the chain's own cut says.

    A chain whose begin is gone without such an entry is broken.
    """
    try:
        first = json.loads(lines[0])
        if first["seq"] == 1:
            return None
        said = f"{first['seq'] - 1}:{first['prev']}"
        for line in lines:
            entry = json.loads(line)
            if entry.get("action") == CUT and entry.get("object") == said:
                return ChainHead(first["seq"] - 1, first["prev"])
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return None
