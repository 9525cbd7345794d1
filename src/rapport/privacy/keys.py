"""The row key and what is derived from it (privacy.md A2).

Every id below the door is ``prefix + base32lower(HMAC-SHA256(K_row,
"v1|<entity>|<source>|<id>"))[:26]``: 130 bits, stable across nights, and of no use
without the key, which never leaves ``vault/keys/``.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

from rapport.errors import KeyMissing
from rapport.files import private_folder, write_whole
from rapport.settings import Settings

PREFIXES = {
    "client": "cl_",
    "therapist": "th_",
    "clinic": "cn_",
    "episode": "ep_",
    "session": "se_",
    "administration": "ad_",
    "goal": "go_",
}
ROTATION = "rotation.json"
# Stands until a snapshot is published under the new key.
REBUILD = "rotation.rebuild.json"
MOUNTED = "mounted"
_LENGTH = 32
_SWAPPED = ("the key is not the one this vault was made with (check value differs)",)
_RIGHT_KEY = "restore the right key file; nothing was read"
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_TRIPLES = [a + b + c for a in _LETTERS for b in _LETTERS for c in _LETTERS]


class KeyRing:
    """The purpose keys of one vault. Open it with ``KeyRing.of``.

    After a rotation a key is made in a chain: what the first master made is keyed again
    by each later one. Opaque names and tokens keep the first (ADR 0038).
    """

    def __init__(self, master: bytes, *later: bytes) -> None:
        row = _derived(master, "row")
        self._later = [_derived(one, "row") for one in later]
        self._purge = [_derived(one, "purge") for one in (master, *later)]
        self._row = hmac.new(row, digestmod="sha256")
        self._row_pads = [
            bytes(byte ^ pad for byte in row.ljust(64, b"\0")) for pad in (0x5C, 0x36)
        ]
        self._batch = _derived(master, "batch")
        self._raw = _derived(master, "raw")

    @classmethod
    def of(cls, settings: Settings, *, may_create: bool = False) -> KeyRing:
        """Read the keys, or create the first one of an empty vault.

        Raises:
            KeyMissing: no key, or one with wrong owner, mode or check value (exit 2).
        """
        if (settings.home / "vault" / ROTATION).exists():
            raise KeyMissing(
                "a key rotation was cut off before it was complete; nothing was read",
                next_step="run rapport vault rotate again: it goes on where it stopped",
                reason="rotation_incomplete",
            )
        masters = masters_of(
            settings.home, settings.security.key_file, may_create=may_create
        )
        return cls(*(master for _, master in reversed(masters)))

    @property
    def is_chained(self) -> bool:
        """Tell whether a rotation has made the keys a chain."""
        return bool(self._later)

    def tombstones(self, source: str, id_: str) -> list[str]:
        """Return the marks that an erased client's id may have, one a master."""
        said = f"{source}|{_normal(id_)}".encode()
        return [hmac.digest(key, said, "sha256").hex() for key in self._purge]

    def sealing_key(self, source: str, id_: str) -> bytes:
        """Return the key that seals what an erasure of this client collected."""
        said = f"pending|{source}|{_normal(id_)}".encode()
        return hmac.digest(self._purge[0], said, "sha256")

    def tombstone_of_key(self, key: str) -> str:
        """Return the mark of an erased administration, session, episode or goal."""
        return hmac.digest(self._purge[0], f"key|{key}".encode(), "sha256").hex()

    def row_key(self, entity: str, source: str, id_: str) -> str:
        """Return the published key of one source id; blanks around it do not count."""
        return self._chained(self.first_key(entity, source, id_))

    def first_key(self, entity: str, source: str, id_: str) -> str:
        """Return the key as it was before any rotation."""
        mac = self._row.copy()
        mac.update(f"v1|{entity}|{source}|{_normal(id_)}".encode())
        return PREFIXES[entity] + _first_26_of_base32(mac.digest())

    def keys_through(self, entity: str, source: str, id_: str) -> list[str]:
        """Return the key of an id before and after each rotation."""
        found = [self.first_key(entity, source, id_)]
        for row in self._later:
            found.append(chained_key(row, found[-1]))
        return found

    def _chained(self, key: str) -> str:
        for row in self._later:
            key = chained_key(row, key)
        return key

    def row_key_sql(
        self, entity: str, source: str, id_: str
    ) -> tuple[str, str, list[bytes]]:
        """Return ``row_key`` as SQL of the engine, for millions of ids.

        Right before any rotation, and for ids of printable ASCII without blanks around them. The key is in the
        parameters only, so that no statement's text holds it.
        Source: RFC 2104, section 2; RFC 4648, section 6.

        Returns:
            SQL of a column ``digest``; SQL of the key over it; the parameters of the first.

        Args:
            entity: SQL of the entity.
            source: SQL of the source.
            id_: SQL of the id.
        """
        said = f"encode('v1|' || {entity} || '|' || {source} || '|' || {id_})"
        digest = f"sha256(?::blob || unhex(sha256(?::blob || {said})))"
        # Fifteen hex digits are sixty bits, twelve letters; of the last three, two letters.
        letters = [
            _letter_sql(
                f"('0x' || substr(digest, {1 + 15 * (n // 12)}, {15 if n < 24 else 3}))"
                f"::bigint >> {55 - 5 * (n % 12) if n < 24 else 7 - 5 * (n % 12)}"
            )
            for n in range(26)
        ]
        prefixes = " ".join(f"when '{e}' then '{p}'" for e, p in PREFIXES.items())
        key = f"concat(case {entity} {prefixes} end, {', '.join(letters)})"
        return digest, key, list(self._row_pads)

    def batch_id(self, source: str, delivery_id: str) -> str:
        """Return the opaque name of a delivery."""
        return "b_" + _base32(self._batch, f"{source}|{delivery_id}")[:12]

    def raw_token(self, column: str, spelling: str) -> str:
        """Return the opaque token of a code outside its list."""
        return "r_" + _base32(self._raw, f"{column}|{spelling}")[:10]


def _letter_sql(bits: str) -> str:
    """Return SQL of the letter for the last five bits: ``a`` to ``z``, ``2`` to ``7``."""
    return f"chr((({bits}) & 31)::integer + 97 - 73 * ((({bits}) & 31) > 25)::integer)"


def masters_of(
    home: Path, key_file: Path | None, *, may_create: bool
) -> list[tuple[str, bytes]]:
    """Return (kid, master) of the keys in use, the newest first.

    Raises:
        KeyMissing: no key, or one with wrong owner, mode or check value (exit 2).
    """
    vault = home / "vault"
    keyring = vault / "keys" / "keyring.json"
    if key_file is not None:
        masters = mounted_masters(key_file)
        if not keyring.exists():
            _enter(keyring, MOUNTED, masters[0])
        # A key that was moved from the vault is still the one that files name.
        entries = chain_of(keyring)
        held = _held_against(entries, masters)
        return [
            (entry["kid"], master)
            for entry, master in zip(reversed(entries), reversed(held), strict=True)
        ]
    if not keyring.exists():
        if not may_create:
            raise KeyMissing(
                "row key missing: restore vault/keys from its backup",
                next_step="without a backup, start a new RAPPORT_HOME and "
                "deliver the exports again: all keys will differ",
            )
        create_key(vault)
    return [
        (entry["kid"], _checked(keyring.parent, entry))
        for entry in reversed(chain_of(keyring))
    ]


def disk_purpose(master: bytes) -> bytes:
    """Return the key of one master that encrypts what lies on the disk."""
    return _derived(master, "duckdb")


def chained_key(row: bytes, key: str) -> str:
    """Return a key under the next master: its prefix stays. ``row`` is of the master."""
    return key[:3] + _first_26_of_base32(hmac.digest(row, key.encode(), "sha256"))


def row_purpose(master: bytes) -> bytes:
    """Return the key that makes row keys of one master."""
    return _derived(master, "row")


def _normal(id_: str) -> str:
    return unicodedata.normalize("NFC", id_).strip()


def _first_26_of_base32(digest: bytes) -> str:
    """Return what ``_base32`` begins with; millions of ids are keyed one by one."""
    bits = int.from_bytes(digest[:17], "big") >> 1
    return "".join([_TRIPLES[bits >> n & 0x7FFF] for n in range(120, -1, -15)])[:26]


def _base32(key: bytes, said: str) -> str:
    digest = hmac.digest(key, said.encode("utf-8"), "sha256")
    return base64.b32encode(digest).decode("ascii").lower()


def _derived(master: bytes, purpose: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"rapport/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(master)


def _check_value(master: bytes) -> str:
    return hmac.digest(master, b"rapport-check", "sha256")[:8].hex()


def create_key(vault: Path, kid: str = "k1", state: str = "active") -> None:
    """Make a new master and enter it; one that a kill left is entered as it is."""
    folder = vault / "keys"
    private_folder(folder)
    vault.chmod(0o700)
    folder.chmod(0o700)
    file = folder / f"{kid}.key"
    if not file.exists():
        # Whole or not at all: a link refuses a name that is taken.
        building = folder / f"{kid}.building"
        building.unlink(missing_ok=True)
        handle = os.open(building, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(os.urandom(32))
            out.flush()
            os.fsync(out.fileno())
        os.link(building, file)
        building.unlink()
    _enter(folder / "keyring.json", kid, _read(file), state)


def activate_key(vault: Path, kid: str) -> None:
    """Make a pending master the active one, and the active one retired."""
    keyring = vault / "keys" / "keyring.json"
    entries = _entries(keyring)
    for entry in entries:
        if entry["kid"] == kid:
            entry["state"] = "active"
        elif entry["state"] == "active":
            entry["state"] = "retired"
    _write_keyring(keyring, entries)


def newest_key(vault: Path) -> dict[str, str] | None:
    """Return the keyring's entry that was created last, or None without a keyring."""
    keyring = vault / "keys" / "keyring.json"
    if not keyring.exists():
        return None
    return max(_entries(keyring), key=lambda entry: entry["created"])


def chain_of(keyring: Path) -> list[dict[str, str]]:
    """Return the entries whose masters make the keys, first to last.

    Raises:
        KeyMissing: the keyring names no active key.
    """
    entries = [e for e in _entries(keyring) if e["state"] in ("active", "retired")]
    if not entries or entries[-1]["state"] != "active":
        raise KeyMissing("the keyring names no active key: restore vault/keys")
    return entries


def master_of(vault: Path, kid: str) -> bytes:
    """Return one master of the vault, held against its check value."""
    folder = vault / "keys"
    for entry in _entries(folder / "keyring.json"):
        if entry["kid"] == kid:
            return _checked(folder, entry)
    raise KeyMissing("the keyring does not name this key: restore vault/keys")


def mounted_masters(key_file: Path) -> list[bytes]:
    """Return the masters of a mounted secret, first to last: 32 bytes each."""
    said = _read_private(key_file)
    if not said or len(said) % _LENGTH:
        raise KeyMissing(
            f"{key_file.name}: a key has 32 bytes, and this file no whole number of keys"
        )
    return [said[n : n + _LENGTH] for n in range(0, len(said), _LENGTH)]


def enter_mounted(vault: Path, kid: str, master: bytes) -> None:
    """Enter the next master of a mounted secret, pending; the vault keeps its check value."""
    _enter(vault / "keys" / "keyring.json", kid, master, "pending")


def held_master(vault: Path, kid: str, master: bytes) -> bytes:
    """Hold a mounted master against the check value under which it was entered."""
    for entry in _entries(vault / "keys" / "keyring.json"):
        if entry["kid"] == kid:
            return _held_against([entry], [master])[0]
    raise KeyMissing("the keyring does not name this key: restore vault/keys")


def _held_against(entries: list[dict[str, str]], masters: list[bytes]) -> list[bytes]:
    """Return the masters that the keyring names; more may wait for a rotation."""
    if len(masters) < len(entries):
        raise KeyMissing(
            f"the mounted secret holds {len(masters)} keys, and the keyring names"
            f" {len(entries)}: each link of the chain is needed",
            next_step="mount them one after the other, 32 bytes each, the first one first",
        )
    for entry, master in zip(entries, masters, strict=False):
        if not hmac.compare_digest(entry["check"], _check_value(master)):
            raise KeyMissing(*_SWAPPED, next_step=_RIGHT_KEY)
    return masters[: len(entries)]


def _checked(folder: Path, entry: dict[str, str]) -> bytes:
    master = _read(folder / f"{entry['kid']}.key")
    if not hmac.compare_digest(entry["check"], _check_value(master)):
        raise KeyMissing(*_SWAPPED, next_step=_RIGHT_KEY)
    return master


def _enter(keyring: Path, kid: str, master: bytes, state: str = "active") -> None:
    private_folder(keyring.parent)
    entries = _entries(keyring) if keyring.exists() else []
    entries = [entry for entry in entries if entry["kid"] != kid]
    entries.append(
        {
            "kid": kid,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "state": state,
            "check": _check_value(master),
        }
    )
    _write_keyring(keyring, entries)


def _write_keyring(keyring: Path, entries: list[dict[str, str]]) -> None:
    write_whole(keyring, json.dumps({"keys": entries}, indent=2))


def _entries(keyring: Path) -> list[dict[str, str]]:
    try:
        found: list[dict[str, str]] = json.loads(keyring.read_text("utf-8"))["keys"]
    except (OSError, ValueError, KeyError):
        raise KeyMissing(
            "vault/keys/keyring.json is not readable",
            next_step="restore vault/keys from its backup",
        ) from None
    return found


def _read(path: Path) -> bytes:
    """Read a key file whose owner and mode are right."""
    master = _read_private(path)
    if len(master) != _LENGTH:
        raise KeyMissing(f"{path.name}: a key has 32 bytes, this file does not")
    return master


def _read_private(path: Path) -> bytes:
    try:
        status = path.stat()
    except OSError:
        raise KeyMissing(
            "row key missing: restore vault/keys from its backup"
        ) from None
    if status.st_uid != os.geteuid():
        raise KeyMissing(f"{path.name}: the key belongs to another user")
    if status.st_mode & 0o077:
        raise KeyMissing(
            f"{path.name}: the key is open to others",
            next_step="chmod 600 the key file",
        )
    return path.read_bytes()
