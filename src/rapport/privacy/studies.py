"""What the vault keeps for research extracts: study keys, subjects, the signing key.

A study's pseudonyms hang on random ``uid``s of the vault, not on warehouse keys, so they
outlive a new row key; a key of its own a study keeps two studies apart (privacy.md C3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rapport.errors import KeyMissing
from rapport.files import private_folder
from rapport.privacy.vault import Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def subject_uids(home: Path, entity: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the uid of each key; an episode's or clinic's is drawn at first sight.

    A client's uid comes from the identity map, where the door entered it. The uids say
    nothing about whom they name (45 CFR 164.514(c)).
    """
    wanted = sorted(set(keys))
    with Vault(home).writing() as con, con:
        if entity == "client":
            known = dict(con.execute("select client_key, uid from person").fetchall())
        else:
            con.executemany(
                "insert or ignore into subject (entity, key, uid) values (?, ?, ?)",
                [(entity, key, uuid.uuid4().hex) for key in wanted],
            )
            known = dict(
                con.execute(
                    "select key, uid from subject where entity = ?", [entity]
                ).fetchall()
            )
    missing = sum(key not in known for key in wanted)
    if missing:
        raise KeyMissing(
            f"the vault does not know {missing} of the snapshot's clients",
            next_step="restore vault/identity.sqlite from its backup",
            reason="vault_incomplete",
        )
    return {key: known[key] for key in wanted}


def study_key(home: Path, study: str, *, may_create: bool) -> bytes:
    """Return a study's key, made once from the operating system's randomness.

    Raises:
        KeyMissing: the study was released before and its key is gone, or is not sound.
    """
    return _key(
        home / "vault" / "studies" / f"{study}.key",
        may_create=may_create,
        lost=f"the key of study {study} is missing: restore vault/studies from its backup",
    )


def has_study_key(home: Path, study: str) -> bool:
    """Tell whether a study's key is there."""
    return (home / "vault" / "studies" / f"{study}.key").exists()


def destroy_study_key(home: Path, study: str) -> bool:
    """Destroy a study's key: nobody can make or undo its pseudonyms afterwards."""
    path = home / "vault" / "studies" / f"{study}.key"
    if not path.exists():
        return False
    path.write_bytes(b"\0" * 32)
    path.unlink()
    return True


def pseudonym(key: bytes, study: str, entity: str, uid: str) -> str:
    """Return 16 letters of base32 that stand for one subject within one study.

    Source: RFC 2104; RFC 4648, section 6.
    """
    said = f"v1|{study}|{entity}|{uid}".encode()
    return base64.b32encode(hmac.digest(key, said, "sha256"))[:16].decode("ascii")


def signing_key(home: Path, *, may_create: bool) -> Ed25519PrivateKey:
    """Return the key that signs releases, made at the first one (RFC 8032).

    Raises:
        KeyMissing: there were releases and the key is gone, or it is not sound.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = _key(
        home / "vault" / "keys" / "release.ed25519",
        may_create=may_create,
        lost="the signing key is missing: restore vault/keys from its backup",
    )
    return Ed25519PrivateKey.from_private_bytes(seed)


def key_id(public: bytes) -> str:
    """Return the short name of a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def _key(path: Path, *, may_create: bool, lost: str) -> bytes:
    if not path.exists():
        if not may_create:
            raise KeyMissing(lost, reason="extract_key_missing")
        private_folder(path.parent)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise KeyMissing(
            f"{path.name}: the key is open to others",
            next_step="chmod 600 the key file",
            reason="extract_key_missing",
        )
    key = path.read_bytes()
    if len(key) != 32:
        raise KeyMissing(lost, reason="extract_key_missing")
    return key
