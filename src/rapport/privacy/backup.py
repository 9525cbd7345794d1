"""The vault as one encrypted file, and back (privacy.md A2, Loss).

scrypt makes the key of the passphrase (RFC 7914), AES-256-GCM encrypts and seals
(NIST SP 800-38D): a wrong passphrase or one changed byte opens nothing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rapport.errors import DiskFull, UsageError, is_disk_full
from rapport.files import private_folder, write_whole
from rapport.privacy.keys import newest_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MARK = b"rapport vault 1\n"
_SALT, _NONCE = 16, 12
# 128 MB and about half a second a try (RFC 7914, section 2; N = 2^17).
_COST = 1 << 17
SHORTEST_PASSPHRASE = 12
_BACKUPS = "backups.json"


def backup_vault(home: Path, out: Path, passphrase: str) -> int:
    """Write the vault into one encrypted file; return how many files it holds.

    The caller holds the writer's lock.

    Raises:
        UsageError: there is no vault, the passphrase is short, or the file is there.
        DiskFull: no room; no file is left behind.
    """
    vault = home / "vault"
    if not (vault / "keys" / "keyring.json").exists():
        raise UsageError(
            "there is no vault to back up", next_step="the first rapport night makes it"
        )
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"the passphrase is too short: at least {SHORTEST_PASSPHRASE} characters"
        )
    if out.exists():
        raise UsageError("the file to write is there already; name another")
    if out.resolve().is_relative_to(home.resolve()):
        raise UsageError(
            "a backup beside what it guards is none: name a file outside RAPPORT_HOME"
        )
    plain, n_files = _packed(vault)
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    sealed = _cipher(passphrase, salt).encrypt(nonce, plain, _MARK + salt)
    _write(out, _MARK + salt + nonce + sealed)
    _remember(vault)
    return n_files


def restore_vault(home: Path, file: Path, passphrase: str) -> int:
    """Put the vault of a backup where none is; return how many files it held.

    Raises:
        UsageError: a vault is there, or the file does not open (exit 2).
    """
    vault = home / "vault"
    if any(path.is_file() for path in vault.rglob("*")):
        raise UsageError(
            "a vault is here already; nothing was restored",
            next_step="name a RAPPORT_HOME without one, or move vault/ away first",
            reason="vault_exists",
        )
    try:
        said = file.read_bytes()
    except OSError:
        raise UsageError("the backup is not readable") from None
    if not said.startswith(_MARK):
        raise UsageError("this file is no backup of a vault", reason="backup_unknown")
    plain = _opened(said, passphrase)
    building = home / "vault.building"
    shutil.rmtree(building, ignore_errors=True)
    try:
        n_files = _unpack(plain, building)
        if vault.exists():
            shutil.rmtree(vault)  # empty folders only: looked at above
        os.replace(building, vault)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        if is_disk_full(error):
            raise DiskFull(
                "restoring the vault", again="rapport vault restore"
            ) from None
        raise
    return n_files


def needs_backup(home: Path) -> bool:
    """Tell whether the newest key is younger than every backup."""
    newest = newest_key(home / "vault")
    if newest is None:
        return False
    path = home / "vault" / _BACKUPS
    made = json.loads(path.read_text("utf-8")) if path.exists() else []
    return not any(backup["at"] >= newest["created"] for backup in made)


def _opened(said: bytes, passphrase: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    salt = said[len(_MARK) :][:_SALT]
    nonce = said[len(_MARK) + _SALT :][:_NONCE]
    sealed = said[len(_MARK) + _SALT + _NONCE :]
    try:
        return _cipher(passphrase, salt).decrypt(nonce, sealed, _MARK + salt)
    except (InvalidTag, ValueError):
        raise UsageError(
            "the passphrase is wrong, or the backup is damaged; nothing was restored",
            reason="backup_closed",
        ) from None


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    key = Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode())
    return AESGCM(key)


def _packed(vault: Path) -> tuple[bytes, int]:
    files = sorted(
        path
        for path in vault.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix != ".building"
    )
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path in files:
            member = tarfile.TarInfo(path.relative_to(vault).as_posix())
            member.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(member, file)
    return out.getvalue(), len(files)


def _unpack(plain: bytes, folder: Path) -> int:
    n_files = 0
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or path.is_absolute() or ".." in path.parts:
                continue
            place = folder.joinpath(*path.parts)
            private_folder(place.parent)
            _write(place, content.read())
            n_files += 1
    return n_files


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner alone."""
    try:
        write_whole(path, content)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull("writing the backup", again="rapport vault backup") from None
        raise


def _remember(vault: Path) -> None:
    path = vault / _BACKUPS
    made = json.loads(path.read_text("utf-8")) if path.exists() else []
    made.append({"at": datetime.now(UTC).isoformat(timespec="seconds")})
    _write(path, json.dumps(made[-20:]).encode())
