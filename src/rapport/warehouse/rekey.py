"""Bronze, the signal log and what was first seen under the next key (privacy.md A2).

Nothing here reads a source id: a new key is made of the old one. Keys made below the
door are hashes over keys, so they are made again from their parts, and told apart by
their old hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport.errors import shortage
from rapport.mapping import BY_NAME, Table
from rapport.privacy.at_rest import DiskKey
from rapport.privacy.keys import disk_purpose
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import (
    add_parquet_key,
    open_snapshot,
    parquet,
    parquet_encryption,
    published_path,
    quoted,
    scratch,
)

Rekey = Callable[[str], str]


@dataclass(frozen=True)
class Rekeyed:
    """What was written under the next key, and is not yet what counts.

    Attributes:
        paths: old path below bronze/ -> new one.
        keys: old key -> new one, of everything that the control state may name.
        n_rows: rows written.
        n_bytes: bytes written.
    """

    paths: dict[str, str]
    keys: dict[str, str]
    n_rows: int
    n_bytes: int


def rekey_bronze(
    settings: Settings, state: ControlState, master: bytes, kid: str, rekey: Rekey
) -> Rekeyed:
    """Write each bronze file again beside itself, under the next key.

    Raises:
        DiskFull, MemoryLimitReached: no room; what was written is removed and nothing has changed.
    """
    paths: dict[str, str] = {}
    n_rows = n_bytes = 0
    bronze = settings.home / "bronze"
    try:
        with scratch(settings) as con:
            con.create_function("rekey", rekey, ["VARCHAR"], "VARCHAR")
            is_encrypted = settings.security.encrypt_at_rest
            if is_encrypted:
                key = DiskKey(kid, disk_purpose(master))
                add_parquet_key(con, kid, key)
            encryption = parquet_encryption(is_encrypted, kid=kid)
            for name, files in state.bronze_files().items():
                for _, relative in files:
                    old = bronze / relative
                    new = old.with_name(f"{old.name.split('.')[0]}.{kid}.parquet")
                    n_rows += _rewrite(con, BY_NAME[name], old, new, encryption)
                    n_bytes += new.stat().st_size
                    paths[relative] = new.relative_to(bronze).as_posix()
    except (OSError, duckdb.Error) as error:
        for path in bronze.rglob(f"*.{kid}.parquet*"):
            path.unlink(missing_ok=True)
        if short := shortage(error, "rotating the key", again="rapport vault rotate"):
            raise short from None
        raise
    return Rekeyed(paths, _log_keys(settings, state, rekey), n_rows, n_bytes)


def _rewrite(
    con: duckdb.DuckDBPyConnection, table: Table, old: Path, new: Path, encryption: str
) -> int:
    columns = [c.key_name for c in table.columns if c.kind == "id"]
    for column in columns:
        con.execute(
            f"create or replace temp table k_{column} as select old, rekey(old) as new"
            f" from (select distinct {column} as old from {parquet(old)}"
            f" where {column} is not null)"
        )
    said = ", ".join(f"k_{column}.new as {column}" for column in columns)
    joins = " ".join(
        f"left join k_{column} on bronze.{column} = k_{column}.old"
        for column in columns
    )
    building = new.with_name(f"{new.name}.building")
    row = con.execute(
        f"copy (select bronze.* replace ({said})"
        f" from {parquet(old)} as bronze {joins}"
        f" order by {table.sort_key}, file_no, row_no)"
        f" to '{quoted(building)}' (format parquet, compression zstd{encryption})"
    ).fetchone()
    with building.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(building, new)
    return int(row[0]) if row else 0


def _log_keys(settings: Settings, state: ControlState, rekey: Rekey) -> dict[str, str]:
    """Return old key -> new key of what the signal log and the first-seen facts name.

    Logged keys whose parts no snapshot shows any more have no successor: their entries are
    kept under a hash of the old key, so that nothing joins them and nothing is lost.
    """
    log = state.signal_log()
    seen = {key for _, key, _ in state.first_seen()}
    keys: dict[str, str] = {}
    for entry in log:
        for key in entry[6:9]:  # client, therapist, clinic
            if key:
                keys[key] = rekey(key)
    parts = _Parts.of(settings)
    for entry in log:
        episode, client = entry[5], entry[6]
        if episode not in keys:
            keys[episode] = parts.episode(episode, client, keys, rekey)
    for entry in log:
        signal_key, signal, instrument, episode, opened_on = (
            entry[2], entry[3], entry[4], entry[5], entry[9],
        )  # fmt: skip
        if signal_key not in keys:
            fixed = [signal, episode, instrument or "none", opened_on]
            keys[signal_key] = _successor(
                "si_", signal_key, parts.signal_forms(fixed, episode), keys, rekey
            )
    for old, form in parts.rupture_forms():
        if old in seen:
            keys[old] = _successor("ru_", old, iter([form]), keys, rekey)
    for old in seen - keys.keys():
        keys[old] = _hash("ru_", ["rekeyed", old])
    return keys


def derived_episodes(settings: Settings, rekey: Rekey) -> dict[str, str]:
    """Return old key -> next key of the episodes that the builds make of sessions.

    Right as long as the snapshot is the old keys' one, which a rotation replaces last.
    """
    return {
        _derived_key(client, opened): _derived_key(rekey(client), opened)
        for client, days in _Parts.of(settings).derived.items()
        for opened in days
    }


def _derived_key(client: str, opened_on: str) -> str:
    return _hash("ep_", ["derived:", client, opened_on])


class _Parts:
    """What the snapshot knows of the parts that keys below the door were made of."""

    def __init__(self) -> None:
        self.derived: dict[str, list[str]] = {}
        self.sessions: dict[str, list[str]] = {}
        self.therapists: dict[str, list[str]] = {}
        self.ruptures: list[tuple[str, str, str, str, str | None]] = []

    @classmethod
    def of(cls, settings: Settings) -> _Parts:
        """Read the published snapshot; without one nothing was ever logged."""
        found = cls()
        path = published_path(settings)
        if not path.exists():
            return found
        with open_snapshot(path) as con:
            for client, opened in con.execute(
                "select client_key, opened_on::varchar from core.fct_episode"
                " where episode_origin = 'derived'"
            ).fetchall():
                found.derived.setdefault(client, []).append(opened)
            for episode, session, therapist in con.execute(
                "select episode_key, session_key, therapist_key from core.fct_session"
                " where episode_key is not null order by session_key"
            ).fetchall():
                found.sessions.setdefault(episode, []).append(session)
                known = found.therapists.setdefault(episode, [])
                if therapist and therapist not in known:
                    known.append(therapist)
            found.ruptures = con.execute(
                "select rupture_key, method, instrument, episode_key, therapist_key"
                " from alliance.fct_rupture"
            ).fetchall()
        return found

    def episode(self, key: str, client: str, keys: dict[str, str], rekey: Rekey) -> str:
        """Return an episode's next key: of a source id, or of the client and a day."""
        for opened in self.derived.get(client, []):
            if _derived_key(client, opened) == key:
                return _derived_key(keys[client], opened)
        return rekey(key)

    def signal_forms(self, fixed: list[str], episode: str) -> Iterator[list[str]]:
        """Yield every list of parts that a signal of an episode may be made of."""
        therapists = self.therapists.get(episode, [])
        for tail in ([], *([str(n)] for n in range(2, 10))):
            yield [*fixed, *tail]
            for session in self.sessions.get(episode, []):
                yield [*fixed, session, *tail]
                for therapist in (*therapists, "none"):
                    yield [*fixed, session, therapist, *tail]
            for therapist in (*therapists, "none"):
                yield [*fixed, therapist, *tail]

    def rupture_forms(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each rupture's key with the parts that make it."""
        for key, method, instrument, episode, therapist in self.ruptures:
            fixed = [method, instrument, episode]
            others = [*self.therapists.get(episode, []), "none"]
            for series in (therapist, None, *others):
                middle = [series] if series else []
                for session in self.sessions.get(episode, []):
                    form = [*fixed, *middle, session]
                    if _hash("ru_", form) == key:
                        yield key, form


def _successor(
    prefix: str,
    old: str,
    forms: Iterator[list[str]],
    keys: dict[str, str],
    rekey: Rekey,
) -> str:
    for form in forms:
        if _hash(prefix, form) == old:
            return _hash(prefix, [_next(part, keys, rekey) for part in form])
    return _hash(prefix, ["rekeyed", old])


def _next(part: str, keys: dict[str, str], rekey: Rekey) -> str:
    if part in keys:
        return keys[part]
    is_key = part[:3] in ("cl_", "th_", "cn_", "ep_", "se_", "ad_", "go_")
    return rekey(part) if is_key and len(part) == 29 else part


def _hash(prefix: str, parts: list[str]) -> str:
    """Make a key as the macro ``keyed_hash`` does."""
    return prefix + hashlib.sha256("|".join(parts).encode()).hexdigest()[:26]
