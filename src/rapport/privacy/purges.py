"""What an erasure remembers until it is proved, in ``vault/purges/`` (privacy.md A5).

What names the person is sealed under keys made of the person's own ids: the same command
opens it after a kill, and nobody who lacks the id learns whose erasure is under way. What was
rewritten stands beside it, in hashes and counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rapport.files import private_folder, write_whole
from rapport.privacy.keys import KeyRing

_PENDING, _NONCE = ".pending.json", 12


@dataclass(frozen=True)
class Collected:
    """What names the person: in memory, and sealed in the vault until the proof holds."""

    seq: int
    began_at: str
    marks: tuple[str, ...]
    ids: tuple[tuple[str, str], ...]  # (source, client id)
    uids: tuple[str, ...]
    keys: dict[str, list[str]]
    was_published: bool
    # Told before anything is altered, so that a second try tells them too.
    releases: list[dict[str, str]]


def is_pending(home: Path) -> bool:
    """Tell whether an erasure was begun and is not proved."""
    return any((home / "vault" / "purges").glob(f"*{_PENDING}"))


def next_seq(home: Path) -> int:
    """Return the number of the next erasure."""
    done = [
        int(path.name.split(".")[0])
        for path in (home / "vault" / "purges").glob("*.json")
    ]
    return max(done, default=0) + 1


def seal(home: Path, keys: KeyRing, collected: Collected) -> None:
    """Keep what was collected, once for each of the ids that open it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    plain = json.dumps(asdict(collected)).encode()
    sealed = {}
    for source, id_ in collected.ids:
        nonce = os.urandom(_NONCE)
        said = AESGCM(keys.sealing_key(source, id_)).encrypt(nonce, plain, None)
        sealed[keys.tombstones(source, id_)[0]] = (nonce + said).hex()
    _write(_pending(home, collected.seq), sealed)


def unseal(home: Path, keys: KeyRing, source: str, id_: str) -> Collected | None:
    """Return what an erasure of this client collected before it was cut off, if any."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    mark = keys.tombstones(source, id_)[0]
    for path in sorted((home / "vault" / "purges").glob(f"*{_PENDING}")):
        sealed = json.loads(path.read_text("utf-8"))
        if mark in sealed:
            said = bytes.fromhex(sealed[mark])
            key = AESGCM(keys.sealing_key(source, id_))
            plain = key.decrypt(said[:_NONCE], said[_NONCE:], None)
            return _collected(json.loads(plain))
    return None


def settle(home: Path, seq: int, proof: dict[str, Any]) -> None:
    """Write the proof, then forget what was sealed, and last what the proof counts.

    A kill between leaves what the same command needs to write the same proof again.
    """
    _write(home / "vault" / "purges" / f"{seq}.json", proof)
    _pending(home, seq).unlink()
    Journal(home, seq).path.unlink(missing_ok=True)


def forget_proved(home: Path) -> None:
    """Remove the journal of an erasure that was killed after it was proved."""
    for path in (home / "vault" / "purges").glob("*.journal"):
        seq = int(path.stem)
        if path.with_suffix(".json").exists() and not _pending(home, seq).exists():
            path.unlink()


def _pending(home: Path, seq: int) -> Path:
    return home / "vault" / "purges" / f"{seq}{_PENDING}"


def _collected(said: dict[str, Any]) -> Collected:
    said["ids"] = tuple((source, id_) for source, id_ in said["ids"])
    said["marks"], said["uids"] = tuple(said["marks"]), tuple(said["uids"])
    return Collected(**said)


@dataclass(frozen=True)
class Change:
    """One file that was rewritten, or removed: hashes, and how many rows went.

    Attributes:
        kind: ``delivered``, ``refused`` or ``bronze``.
        before, after: sha256; nothing after a removal.
        n_rows: rows of the person in it.
        n_bytes: what it has now.
    """

    kind: str
    before: str
    after: str
    n_rows: int
    n_bytes: int


class Journal:
    """What an erasure is about to change, noted before it does; it names no file.

    A kill falls before a file's change or after it: its hash tells which.
    """

    def __init__(self, home: Path, seq: int) -> None:
        self._home = home
        self.path = home / "vault" / "purges" / f"{seq}.journal"

    def plan(self, kind: str, path: Path, n_rows: int, **more: str | int) -> None:
        """Note that a file is about to be rewritten, or removed."""
        self._append(
            {"kind": kind, "place": self._place(path), "before": _sha256(path),
             "n_rows": n_rows, **more}
        )  # fmt: skip

    def expect(
        self, batch_id: str, counts: dict[str, tuple[int, int]], *, is_known: bool
    ) -> None:
        """Note how a delivery was before it was rewritten.

        Args:
            batch_id: the delivery.
            counts: by table, its rows and those of the person, as the door reads them.
            is_known: whether the ledger knew these very bytes.
        """
        self._append(
            {"kind": "door", "batch_id": batch_id, "counts": counts, "known": is_known}
        )

    def expected(self) -> dict[str, tuple[dict[str, tuple[int, int]], bool]]:
        """Return, by delivery, what ``expect`` was told."""
        return {
            line["batch_id"]: (
                {table: (n, m) for table, (n, m) in line["counts"].items()},
                line["known"],
            )
            for line in self._lines()
            if line["kind"] == "door"
        }

    def refused_left(self) -> list[tuple[str, str, int]]:
        """List (batch id, file, refused rows left) of the quarantine, in order."""
        counted = [line for line in self._lines() if "n_left" in line]
        places = self._places() if counted else {}
        return [
            (line["batch_id"], line["file"], line["n_left"])
            for line in counted
            if self._is_done(line, places)
        ]

    def changes(self) -> list[Change]:
        """List what was changed, first to last."""
        places = self._places()
        by_place: dict[str, list[dict[str, Any]]] = {}
        for line in self._lines():
            if line["kind"] != "door":
                planned = by_place.setdefault(line["place"], [])
                if not planned or planned[-1]["before"] != line["before"]:
                    planned.append(line)
        found = []
        for place, planned in by_place.items():
            path = places.get(place)
            now = _sha256(path) if path else ""
            afters = [*(line["before"] for line in planned[1:]), now]
            for line, after in zip(planned, afters, strict=True):
                if after != line["before"]:
                    n_bytes = path.stat().st_size if path else 0
                    found.append(
                        Change(line["kind"], line["before"], after, line["n_rows"],
                               n_bytes)
                    )  # fmt: skip
        return found

    def _is_done(self, line: dict[str, Any], places: dict[str, Path]) -> bool:
        path = places.get(line["place"])
        return path is None or _sha256(path) != line["before"]

    def _places(self) -> dict[str, Path]:
        return {
            self._place(path): path
            for folder in ("inbox", "quarantine", "bronze")
            for path in (self._home / folder).rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def _place(self, path: Path) -> str:
        said = os.fsencode(path.relative_to(self._home))
        return hashlib.sha256(said).hexdigest()

    def _append(self, said: dict[str, Any]) -> None:
        private_folder(self.path.parent)
        handle = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write(json.dumps(said).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # a full disk or a kill cut it: nothing followed it
                continue


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, said: dict[str, Any]) -> None:
    """Write JSON whole or not at all, for its owner alone."""
    private_folder(path.parent)
    write_whole(path, json.dumps(said, indent=1, sort_keys=True))
