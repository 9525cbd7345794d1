"""``rapport vault rotate``: a new key over the old one, in a chain (privacy.md A2).

While it is under way ``vault/rotation.json`` stands, and nothing that needs a key runs. Each
store is switched in one transaction that remembers it was; so the same command goes on.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rapport import night, observe
from rapport.encryption import settle_encryption
from rapport.errors import GateRefused, UsageError
from rapport.files import write_whole
from rapport.privacy import Vault, append_audit
from rapport.privacy.keys import (
    REBUILD,
    ROTATION,
    activate_key,
    chain_of,
    chained_key,
    create_key,
    enter_mounted,
    held_master,
    master_of,
    mounted_masters,
    row_purpose,
)
from rapport.privacy.purges import is_pending
from rapport.settings import Settings
from rapport.state import ControlState, writer_lock
from rapport.warehouse.connections import built_paths, published_path
from rapport.warehouse.integrity import require_sound_bronze, seal_bronze
from rapport.warehouse.rekey import derived_episodes, rekey_bronze


@dataclass(frozen=True)
class Rotated:
    """What a rotation came to."""

    kid: str
    n_rows: int
    n_bytes: int
    is_published: bool


def rotate_key(settings: Settings, reason: str) -> Rotated:
    """Key everything below the door again under a new master.

    Raises:
        UsageError: there is no key, no reason, or no next key in the mounted secret
            (exit 2).
        DiskFull: no room; the same command goes on.
    """
    vault = settings.home / "vault"
    if len(reason.strip()) < 5:
        raise UsageError("a reason of at least 5 characters is needed; it is logged")
    with writer_lock(settings.home):
        if (vault / REBUILD).exists():
            # All is under the new key but the snapshot: a kill came while it was built.
            night.open_keys(settings)
            kid = chain_of(vault / "keys" / "keyring.json")[-1]["kid"]
            return Rotated(kid, 0, 0, _rebuild(settings))
        under_way = _started(settings, vault, reason)
        kid = under_way.kid
        master = _next_master(settings, vault, under_way)
        row = row_purpose(master)
        state = ControlState(settings.home)

        def rekey(key: str) -> str:
            return chained_key(row, key)

        n_rows = n_bytes = 0
        if not state.is_rotated(kid):
            with observe.step("rotate", "key bronze and the signal log again"):
                done = rekey_bronze(settings, state, master, kid, rekey)
                state.rotate(kid, done.paths, done.keys, datetime.now(UTC))
            n_rows, n_bytes = done.n_rows, done.n_bytes
        # Here, not in the step: a kill may have come right after that was remembered.
        seal_bronze(settings, state)
        made = derived_episodes(settings, rekey)
        Vault(settings.home).rotate(
            under_way.generation, lambda key: made.get(key) or rekey(key)
        )
        state.rewrite()
        _drop_old(settings, state)
        activate_key(vault, kid)
        settle_encryption(settings)
        append_audit(settings.home, "vault_rotate", kid, under_way.reason)
        if under_way.was_published:
            os.replace(vault / ROTATION, vault / REBUILD)
        else:
            (vault / ROTATION).unlink()
        is_published = under_way.was_published and _rebuild(settings)
    return Rotated(kid, n_rows, n_bytes, is_published)


@dataclass(frozen=True)
class _UnderWay:
    """What a rotation remembers of itself until its end."""

    kid: str
    generation: int
    reason: str
    was_published: bool


def _started(settings: Settings, vault: Path, reason: str) -> _UnderWay:
    """Begin a rotation, or take up the one that was cut off."""
    path = vault / ROTATION
    if path.exists():
        under_way = _UnderWay(**json.loads(path.read_text("utf-8")))
    else:
        if not (vault / "keys" / "keyring.json").exists():
            raise UsageError(
                "there is no key to rotate",
                next_step="the first rapport night makes it",
            )
        night.open_keys(settings)
        if is_pending(settings.home):
            raise UsageError(
                "an erasure is not proved yet, and knows its person by today's keys;"
                " nothing was changed",
                next_step="run the same rapport purge client again, then rotate",
                reason="erasure_incomplete",
            )
        # What is written under the next key is known by its new bytes, damaged or not.
        state = ControlState(settings.home)
        require_sound_bronze(settings, state, [d.batch_id for d in state.deliveries()])
        generation = len(chain_of(vault / "keys" / "keyring.json"))
        under_way = _UnderWay(
            f"k{generation + 1}",
            generation,
            reason,
            published_path(settings).exists(),
        )
        if settings.security.key_file is not None:
            _mounted_next(settings, under_way)
        write_whole(path, json.dumps(asdict(under_way)))
    kids = [entry["kid"] for entry in chain_of(vault / "keys" / "keyring.json")]
    if under_way.kid not in kids:
        if settings.security.key_file is None:
            create_key(vault, under_way.kid, "pending")
        else:
            enter_mounted(vault, under_way.kid, _mounted_next(settings, under_way))
    return under_way


def _next_master(settings: Settings, vault: Path, under_way: _UnderWay) -> bytes:
    if settings.security.key_file is None:
        return master_of(vault, under_way.kid)
    return held_master(vault, under_way.kid, _mounted_next(settings, under_way))


def _mounted_next(settings: Settings, under_way: _UnderWay) -> bytes:
    """Return the key that whoever manages the mounted secret put behind the others."""
    assert settings.security.key_file is not None
    masters = mounted_masters(settings.security.key_file)
    if len(masters) <= under_way.generation:
        raise UsageError(
            "the key is mounted, and its secret holds no next key; nothing was changed",
            next_step="append 32 random bytes to the secret (docs/how-to/rotate-the-key.md),"
            " then run the same command",
            reason="next_key_missing",
        )
    return masters[under_way.generation]


def _drop_old(settings: Settings, state: ControlState) -> None:
    """Remove what the old key made: bronze files, history, working files, digests."""
    bronze = settings.home / "bronze"
    kept = {path for files in state.bronze_files().values() for _, path in files}
    for path in bronze.rglob("*.parquet*"):
        if path.relative_to(bronze).as_posix() not in kept:
            path.unlink()
    shutil.rmtree(published_path(settings).parent / "history", ignore_errors=True)
    for path in built_paths(settings):
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
    shutil.rmtree(settings.home / "digest", ignore_errors=True)


def _rebuild(settings: Settings) -> bool:
    """Publish under the new keys; the old snapshot goes once the new one is checked."""
    published = [
        run for run in ControlState(settings.home).runs() if run.outcome == "published"
    ]
    last = published[-1] if published else None
    run_id = night.start_run(
        settings, last.as_of if last else None, last.known_on if last else None
    )
    for name, label in night.STEPS.items():
        with observe.step(name, label):
            try:
                night.STEP_FUNCTIONS[name](settings, run_id)
            except GateRefused:
                published_path(settings).unlink(missing_ok=True)
                (settings.home / "vault" / REBUILD).unlink()
                return False
    return True
