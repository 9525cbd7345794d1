"""Bring what lies on the disk under ``security.encrypt_at_rest`` (privacy.md A3).

A RAPPORT_HOME remembers which master everything in it is under, or that it lies plain.
Where the setting, or a rotation, says otherwise, the next command that writes begins by
writing every file anew: bronze, quarantine, snapshot and history, control state, identity
map. Each file is replaced whole, so a kill leaves some done and some not; both can be
read, and the next try goes on. What a night builds anew anyway is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from rapport import observe
from rapport.errors import KeyMissing, SettingsError, StateDamaged, shortage
from rapport.privacy import append_audit
from rapport.privacy.at_rest import (
    DiskKey,
    disk_keys,
    is_asked_for,
    is_sealed,
    remember_standing,
    reseal,
    standing_kid,
)
from rapport.privacy.store import reseal_store
from rapport.settings import Settings
from rapport.state import ControlState, writer_lock
from rapport.state.seal import (
    break_seal,
    check_seal,
    every_copy,
    store_path,
    write_seal,
)
from rapport.warehouse.build import empty
from rapport.warehouse.connections import (
    built_paths,
    damaged_path,
    is_encrypted,
    scratch,
    temp_folder,
)
from rapport.warehouse.integrity import bytes_renewed, set_aside
from rapport.warehouse.reencrypt import rewrite_database, rewrite_parquet

_MOST_LINES = 10


def settle_encryption(settings: Settings) -> int:
    """Write anew whatever does not lie as the setting says; return how many files.

    Raises:
        SettingsError: it lies encrypted, and nothing is set (exit 2).
        KeyMissing: what is encrypted, no key of this vault opens (exit 2).
        DiskFull, MemoryLimitReached: no room; the next try goes on.
    """
    home = settings.home
    keys = disk_keys(home)
    wanted = keys[0] if is_asked_for(home) else None
    kid = wanted.kid if wanted else None
    if standing_kid(home) == kid:
        return 0
    if wanted is None and "encrypt_at_rest" not in settings.security.model_fields_set:
        # A shell without the variable that a night has must not lay everything open.
        raise SettingsError(
            "this RAPPORT_HOME is encrypted, and security.encrypt_at_rest is not set",
            next_step="set encrypt_at_rest = true in rapport.toml; or false, to have"
            " everything decrypted: docs/how-to/encrypt-the-disk.md",
            reason="encryption_not_set",
        )
    with writer_lock(home):
        try:
            with observe.step("encryption", _words(wanted)):
                n_files, damaged = _settle(settings, keys, wanted)
        except (OSError, duckdb.Error) as error:
            if short := shortage(error, "encrypting", again="the same command"):
                raise short from None
            raise
        if damaged:
            # Not all lies as it is set yet: each command that writes tries again.
            places = [path.relative_to(home).as_posix() for path in sorted(damaged)]
            observe.say(
                f"  {len(places)} damaged files stay as they lie, see"
                " docs/runbooks/corrupt-file.md:"
            )
            for place in places[:_MOST_LINES]:
                observe.say(f"    {place}")
            return n_files
        remember_standing(home, kid)
        append_audit(
            home,
            "encrypt_at_rest" if wanted else "decrypt_at_rest",
            f"{n_files} files",
            "set in rapport.toml or the environment",
        )
    return n_files


def _words(wanted: DiskKey | None) -> str:
    return (
        "encrypt what lies on the disk" if wanted else "decrypt what lies on the disk"
    )


def _settle(
    settings: Settings, keys: Sequence[DiskKey], wanted: DiskKey | None
) -> tuple[int, set[Path]]:
    """Write everything anew; return how many files, and the damaged ones that stay."""
    home = settings.home
    n_files = 0
    with bytes_renewed(settings, ControlState(home)) as damaged:
        _drop_built(settings)
        with scratch(settings) as con:
            for path in _tables(home):
                if path in damaged:
                    continue
                try:
                    n_files += rewrite_parquet(con, path, keys, wanted)
                except duckdb.Error as error:
                    _require_damage(error)
                    damaged.add(path)
        for path in _snapshots(home):
            n_files += _rewrite_snapshot(settings, path, keys, wanted)
        for path in (*_sealed_whole(home), *_set_aside(settings)):
            n_files += reseal(path, keys, wanted)
        identity = home / "vault" / "identity.sqlite"
        if identity.exists():
            n_files += reseal_store(identity, keys, wanted)
        n_files += _reseal_state(store_path(home), keys, wanted)
    return n_files, damaged


def _rewrite_snapshot(
    settings: Settings, path: Path, keys: Sequence[DiskKey], wanted: DiskKey | None
) -> int:
    """Write a snapshot anew; one that can't be read, though nobody noted its bytes, is kept aside."""
    try:
        return rewrite_database(settings, path, keys, wanted)
    except duckdb.Error as error:
        _require_damage(error)
    path.with_name(f"{path.name}.building").unlink(missing_ok=True)
    set_aside(settings, path, "unreadable")
    return 0


def _require_damage(error: duckdb.Error) -> None:
    """Raise an error anew that says nothing about the file: no room, no memory."""
    if shortage(error, "encrypting"):
        raise error


def _reseal_state(store: Path, keys: Sequence[DiskKey], wanted: DiskKey | None) -> int:
    """Write the control state anew, and its copies with their seals.

    The lock seals the store when it is given back. A copy that was altered keeps its seal,
    which goes on saying so; its bytes alone are sealed, or stay as they lie.
    """
    n_files = 0
    for copy in every_copy(store):
        try:
            check_seal(copy)
        except StateDamaged:
            with suppress(KeyMissing):  # altered since it was sealed
                n_files += reseal(copy, keys, wanted)
            continue
        break_seal(copy)
        n_files += reseal_store(copy, keys, wanted)
        write_seal(copy)
    break_seal(store)
    return n_files + reseal_store(store, keys, wanted)


def _drop_built(settings: Settings) -> None:
    for path in built_paths(settings):
        if path != damaged_path(settings):
            for left in path.parent.glob(f"{path.name}*"):
                left.unlink()
    empty(temp_folder(settings))
    _drop_unfinished(settings.home)


def _drop_unfinished(home: Path) -> None:
    for folder in ("bronze", "quarantine", "published", "vault", "state"):
        for left in sorted((home / folder).rglob("*.building*"), reverse=True):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _tables(home: Path) -> list[Path]:
    return [
        path
        for folder in ("bronze", "quarantine", "vault/cohorts", "vault/releases")
        for path in sorted((home / folder).rglob("*.parquet"))
    ]


def _snapshots(home: Path) -> list[Path]:
    return sorted((home / "published").rglob("*.duckdb"))


def _sealed_whole(home: Path) -> list[Path]:
    return sorted((home / "quarantine").rglob("*.refused"))


def _set_aside(settings: Settings) -> list[Path]:
    """List the damaged snapshots that are kept; what the engine encrypted stays so."""
    first = damaged_path(settings)
    kept = sorted(first.parent.glob(f"{first.name}*"))
    return [path for path in kept if not is_encrypted(path)]


def _stores(home: Path) -> list[Path]:
    store = store_path(home)
    stores = [home / "vault" / "identity.sqlite", store]
    return [path for path in stores if path.exists()] + every_copy(store)


def plain_files(settings: Settings) -> list[str]:
    """List the files that lie plain, of those that are encrypted where it is set."""
    home = settings.home
    aside = _set_aside(settings)
    built = [path for path in built_paths(settings) if path.exists()]
    engine = [*_tables(home), *_snapshots(home), *built]
    plain = [p for p in engine if p not in aside and not is_encrypted(p)]
    sealed = (*_sealed_whole(home), *aside, *_stores(home))
    plain += [path for path in sealed if not is_sealed(path)]
    return [path.relative_to(home).as_posix() for path in plain]
