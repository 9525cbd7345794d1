"""What lies on the disk, encrypted: its keys, and files sealed whole (privacy.md A3).

The engine encrypts its own databases and Parquet files with the ``duckdb`` purpose key of
the newest master. What the engine does not write (identity map, control state, refused
files) is sealed here: AES-256-GCM, piece by piece, under a key derived from that one
(NIST SP 800-38D; each piece says its place and whether it is the last).
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from rapport.errors import KeyMissing
from rapport.files import private_folder, write_pieces, write_whole
from rapport.privacy.keys import disk_purpose, masters_of
from rapport.settings import security_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


SEALED = b"rapport sealed 1 "
_PIECE = 4 << 20
_NONCE = 12
_STANDING = "at_rest.json"


@dataclass(frozen=True)
class DiskKey:
    """The key of one master for what lies on the disk."""

    kid: str
    key: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """Return it as the engine takes it."""
        return base64.b64encode(self.key).decode("ascii")

    def cipher(self) -> AESGCM:
        """Return what seals files."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self.key, b"sealed file", "sha256"))


def is_asked_for(home: Path) -> bool:
    """Tell whether new files are to be encrypted."""
    return security_of(home).encrypt_at_rest


def disk_keys(home: Path) -> tuple[DiskKey, ...]:
    """Return the keys that files may be under, the newest first.

    None when encryption is neither asked for nor stands. A RAPPORT_HOME without control
    state has no data yet: there, and only there, the first key is made.

    Raises:
        KeyMissing: no key, or one with wrong owner, mode or check value (exit 2).
    """
    if not is_asked_for(home) and standing_kid(home) is None:
        return ()
    masters = masters_of(
        home,
        security_of(home).key_file,
        may_create=not (home / "state" / "rapport.sqlite").exists(),
    )
    return tuple(DiskKey(kid, disk_purpose(master)) for kid, master in masters)


def standing_kid(home: Path) -> str | None:
    """Return the master that everything on the disk is under; None: it lies plain."""
    path = home / "vault" / _STANDING
    if not path.exists():
        return None
    kid: str | None = json.loads(path.read_text("utf-8"))["kid"]
    return kid


def remember_standing(home: Path, kid: str | None) -> None:
    """Remember that everything on the disk is under a master, or plain."""
    folder = home / "vault"
    private_folder(folder)
    write_whole(folder / _STANDING, json.dumps({"kid": kid}))


def wrong_key(what: str) -> KeyMissing:
    """Return the error of a file that no key of this vault opens."""
    return KeyMissing(
        f"{what}: encrypted, and no key of this vault opens it; nothing was read",
        next_step="restore the vault that belongs to this RAPPORT_HOME:"
        " docs/how-to/restore-the-vault.md",
        reason="at_rest_key_wrong",
    )


# --- sealed files -------------------------------------------------------------------


def is_sealed(path: Path) -> bool:
    """Tell whether a file begins like one that is sealed."""
    with path.open("rb") as file:
        return file.read(len(SEALED)) == SEALED


def keep_file(home: Path, path: Path, content: bytes) -> None:
    """Write a file whole, for its owner alone: sealed, where encryption is asked for."""
    put_file(path, content, disk_keys(home)[0] if is_asked_for(home) else None)


def put_file(path: Path, content: bytes, key: DiskKey | None) -> None:
    """Write a file whole, for its owner alone: sealed under a key, or plain."""
    write_pieces(path, _sealed(io.BytesIO(content), key) if key else [content])


def kept_file(home: Path, path: Path) -> bytes:
    """Return what ``keep_file`` wrote, sealed or not.

    Raises:
        KeyMissing: no key of this vault opens it.
    """
    return (
        b"".join(unsealed(path, disk_keys(home)))
        if is_sealed(path)
        else path.read_bytes()
    )


def reseal(path: Path, keys: Sequence[DiskKey], wanted: DiskKey | None) -> bool:
    """Write a file anew under the wanted key, or plain; return whether it was not so."""
    with path.open("rb") as file:
        kid = _kid_of(file)
    if kid == (wanted.kid if wanted else None):
        return False
    with path.open("rb") as file:
        plain = file if kid is None else _Pieces(unsealed(path, keys))
        write_pieces(path, _sealed(plain, wanted) if wanted else _read(plain))
    return True


def copy_sealed(home: Path, source: Path, path: Path) -> None:
    """Copy a file: sealed, where encryption is asked for."""
    keys = disk_keys(home) if is_asked_for(home) else ()
    with source.open("rb") as file:
        write_pieces(path, _sealed(file, keys[0]) if keys else _read(file))


def unsealed(path: Path, keys: Sequence[DiskKey]) -> Iterator[bytes]:
    """Yield the pieces of a sealed file.

    Raises:
        KeyMissing: none of the keys opens it, or it was changed or cut off.
    """
    from cryptography.exceptions import InvalidTag

    with path.open("rb") as file:
        kid = _kid_of(file)
        key = next((one for one in keys if one.kid == kid), None)
        if key is None:
            raise wrong_key(path.name)
        cipher, number, is_last = key.cipher(), 0, False
        while not is_last:
            size = int.from_bytes(file.read(4), "big")
            nonce, sealed = file.read(_NONCE), file.read(size)
            is_last = file.peek(1) == b""
            try:
                yield cipher.decrypt(nonce, sealed, _beside(key, number, is_last))
            except (InvalidTag, ValueError):
                raise wrong_key(path.name) from None
            number += 1


def _sealed(plain: _Readable, key: DiskKey) -> Iterator[bytes]:
    yield SEALED + key.kid.encode() + b"\n"
    cipher, number = key.cipher(), 0
    piece = plain.read(_PIECE)
    while True:
        after = plain.read(_PIECE)
        nonce = os.urandom(_NONCE)
        sealed = cipher.encrypt(nonce, piece, _beside(key, number, not after))
        yield len(sealed).to_bytes(4, "big") + nonce + sealed
        if not after:
            return
        piece, number = after, number + 1


def _beside(key: DiskKey, number: int, is_last: bool) -> bytes:
    return f"{key.kid} {number} {is_last}".encode()


def _kid_of(file: BinaryIO) -> str | None:
    """Read the first line of a sealed file; None when it is none."""
    if file.read(len(SEALED)) != SEALED:
        return None
    return file.readline(80).strip().decode("ascii", "replace")


class _Pieces:
    """Pieces, read as a file is."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1, /) -> bytes:
        return next(self._pieces, b"")


def _read(plain: _Readable) -> Iterator[bytes]:
    while piece := plain.read(_PIECE):
        yield piece
