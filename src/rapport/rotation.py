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
from rapport.errors import GateRefused, UsageError
from rapport.privacy import Vault, append_audit
from rapport.privacy.keys import (
    ROTATION,
    activate_key,
    chain_of,
    chained_key,
    create_key,
    master_of,
    row_purpose,
)
from rapport.settings import Settings
from rapport.state import ControlState, writer_lock
from rapport.warehouse.connections import built_paths, published_path
from rapport.warehouse.rekey import rekey_bronze


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
        UsageError: the key is mounted, there is none, or there is no reason (exit 2).
        DiskFull: no room; the same command goes on.
    """
    vault = settings.home / "vault"
    if settings.security.key_file is not None:
        raise UsageError(
            "the key is mounted (security.key_file): rotate it where it is managed"
        )
    if len(reason.strip()) < 5:
        raise UsageError("a reason of at least 5 characters is needed; it is logged")
    with writer_lock(settings.home):
        under_way = _started(settings, vault, reason)
        kid = under_way.kid
        row = row_purpose(master_of(vault, kid))
        state = ControlState(settings.home)

        def rekey(key: str) -> str:
            return chained_key(row, key)

        n_rows = n_bytes = 0
        if not state.is_rotated(kid):
            with observe.step("rotate", "key bronze and the signal log again"):
                done = rekey_bronze(settings, state, kid, rekey)
                state.rotate(kid, done.paths, done.keys, datetime.now(UTC))
            n_rows, n_bytes = done.n_rows, done.n_bytes
        Vault(settings.home).rotate(under_way.generation, rekey)
        state.rewrite()
        _drop_old(settings, state)
        activate_key(vault, kid)
        append_audit(settings.home, "vault_rotate", kid, under_way.reason)
        (vault / ROTATION).unlink()
        is_published = _rebuild(settings) if under_way.was_published else False
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
        generation = len(chain_of(vault / "keys" / "keyring.json"))
        under_way = _UnderWay(
            f"k{generation + 1}",
            generation,
            reason,
            published_path(settings).exists(),
        )
        building = path.with_suffix(".building")
        handle = os.open(building, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(under_way), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(building, path)
    kids = [entry["kid"] for entry in chain_of(vault / "keys" / "keyring.json")]
    if under_way.kid not in kids:
        create_key(vault, under_way.kid, "pending")
    return under_way


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
            if name == "publish":
                # No row of it has a key in common with the new one: nothing to compare.
                published_path(settings).unlink(missing_ok=True)
            try:
                night.STEP_FUNCTIONS[name](settings, run_id)
            except GateRefused:
                published_path(settings).unlink(missing_ok=True)
                return False
    return True
