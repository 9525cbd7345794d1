"""Whether the files of bronze and the built ones are, byte for byte, what rapport wrote.

The control state keeps the sha256 of each. Parquet holds no checksum that its readers check
by default, so a flipped bit could become a wrong number; here it becomes a name (ADR 0053).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport import observe
from rapport.errors import Damaged, KeyMissing, StateDamaged
from rapport.files import private_folder
from rapport.ingest.inbox import file_sha256
from rapport.privacy import Vault
from rapport.settings import Settings
from rapport.state import BuiltFile, ControlState
from rapport.state.seal import check_seal, every_copy, store_path
from rapport.warehouse.connections import (
    damaged_path,
    kept_path,
    open_database,
    open_snapshot,
    parquet,
    published_path,
    scratch,
    temp_folder,
)

_MOST_LINES = 10
_BACKUP = "put the file back from a backup"


@dataclass(frozen=True)
class Damage:
    """One file that is not what rapport wrote; nothing in it is a patient's value.

    Attributes:
        kind: bronze, snapshot, history or kept.
        place: path below RAPPORT_HOME.
        what: missing, altered or unreadable.
        mend: what to do.
    """

    kind: str
    place: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.mend}"


# --- bronze -------------------------------------------------------------------------


def bronze_damage(
    settings: Settings, state: ControlState, batches: Iterable[str] | None = None
) -> list[Damage]:
    """Hold bronze files against the ledger: their bytes, and where those are new, rows.

    Args:
        settings: the settings.
        state: the control state.
        batches: deliveries to look at; all by default.
    """
    wanted = None if batches is None else set(batches)
    found: list[Damage] = []
    new: dict[str, str] = {}
    with scratch(settings) as con:
        for batch, _, relative, n_rows, digest in state.bronze_digests():
            if wanted is not None and batch not in wanted:
                continue
            path = settings.home / "bronze" / relative
            what = ""
            if not path.is_file():
                what = "missing"
            elif digest is None:
                what = _unlike(con, path, n_rows)
                if not what:
                    new[relative] = file_sha256(path).hex()
            elif file_sha256(path).hex() != digest:
                what = "altered since rapport wrote it"
            if what:
                mend = _mend_delivery(settings, batch)
                found.append(Damage("bronze", f"bronze/{relative}", what, mend))
    state.remember_bronze_digests(new)
    return found


def seal_bronze(
    settings: Settings, state: ControlState, *, but: Container[Path] = ()
) -> None:
    """Note the bytes of bronze files that an erasure or a rotation rewrote."""
    state.remember_bronze_digests(
        {
            relative: file_sha256(path).hex()
            for _, _, relative, _, digest in state.bronze_digests()
            if digest is None
            and (path := settings.home / "bronze" / relative).is_file()
            and path not in but
        }
    )


def _unlike(con: duckdb.DuckDBPyConnection, path: Path, n_rows: int) -> str:
    try:
        row = con.execute(f"select count(*) from {parquet(path)}").fetchone()
    except duckdb.Error:
        return "unreadable"
    return "" if row == (n_rows,) else "not of as many rows as the ledger says"


def _mend_delivery(settings: Settings, batch: str) -> str:
    """Say how bronze is made whole: from the inbox while it lies there, else a backup."""
    source, delivery_id = Vault(settings.home).delivery_sources().get(batch, ("", ""))
    if source and (settings.home / "inbox" / source / delivery_id).is_dir():
        return f"rapport quarantine retry {batch}"
    return _BACKUP


def require_sound_bronze(
    settings: Settings, state: ControlState, batches: Iterable[str]
) -> None:
    """Stop before anything is built of damaged bronze.

    Raises:
        Damaged: each damaged file is named, with what to do.
    """
    found = bronze_damage(settings, state, batches)
    if found:
        more = len(found) - _MOST_LINES
        raise Damaged(
            "\n".join(
                [
                    f"files of bronze that are not what rapport wrote: {len(found)}; "
                    "nothing was built of them and the earlier snapshot stands:",
                    *(f"  {damage}" for damage in found[:_MOST_LINES]),
                    *([f"  … and {more} more"] if more > 0 else []),
                ]
            ),
            next_step="docs/runbooks/corrupt-file.md, then rapport night",
            reason="bronze_damaged",
        )


# --- snapshot and history -----------------------------------------------------------


def row_counts(path: Path) -> dict[str, int]:
    """Return how many rows each table of a snapshot has."""
    with open_snapshot(path) as con:
        tables = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
            " where not temporary order by 1"
        ).fetchall()
        found: dict[str, int] = {}
        for (table,) in tables:
            row = con.execute(f"select count(*) from {table}").fetchone()
            found[table] = int(row[0]) if row else 0
    return found


def built(kind: str, run_id: str, path: Path) -> BuiltFile:
    """Return what is to be remembered of a file that a night built."""
    digest = file_sha256(path).hex()
    if kind == "kept":
        return BuiltFile("kept", run_id, digest, {})
    return BuiltFile("snapshot", run_id, digest, row_counts(path))


def history_files(settings: Settings) -> list[Path]:
    """List the snapshots of earlier nights, newest first."""
    folder = published_path(settings).parent / "history"
    return sorted(folder.glob("*.duckdb"), reverse=True)


def run_of(history: Path) -> str:
    """Return the run that a snapshot of the history is of."""
    return history.name.split(".")[1]


def snapshot_damage(settings: Settings, state: ControlState) -> list[Damage]:
    """Hold the snapshot, the history and the kept database against their digests."""
    known = state.built_files()
    digests = {file.digest for file in known.values() if file.kind == "snapshot"}
    found = []
    path = published_path(settings)
    if digests and path.exists() and file_sha256(path).hex() not in digests:
        found.append(
            Damage(
                "snapshot",
                "published/rapport.duckdb",
                "altered since rapport wrote it",
                "rapport night sets it aside and publishes anew",
            )
        )
    for earlier in history_files(settings):
        file = known.get(("snapshot", run_of(earlier)))
        if file is not None and file_sha256(earlier).hex() != file.digest:
            day = earlier.name.split(".")[0]
            found.append(
                Damage(
                    "history",
                    f"published/history/{earlier.name}",
                    "altered since rapport wrote it",
                    f"delete it, then rapport backfill --from {day} --to {day} --again",
                )
            )
    kept = kept_path(settings)
    of_kept = [file for file in known.values() if file.kind == "kept"]
    if of_kept and kept.exists() and file_sha256(kept).hex() != of_kept[0].digest:
        found.append(
            Damage(
                "kept",
                "warehouse/kept.duckdb",
                "altered since rapport wrote it",
                "the next rapport night computes every client anew",
            )
        )
    return found


def is_kept_sound(settings: Settings, file: BuiltFile) -> bool:
    """Tell whether the kept database is the one that its night left."""
    return file_sha256(kept_path(settings)).hex() == file.digest


def set_damaged_aside(settings: Settings, state: ControlState) -> Damage | None:
    """Take a damaged snapshot away; the newest sound one of the history stands in.

    The damaged file is kept as ``warehouse/damaged.duckdb`` until the next one.
    """
    damaged = [d for d in snapshot_damage(settings, state) if d.kind == "snapshot"]
    if not damaged:
        return None
    path = published_path(settings)
    os.replace(path, damaged_path(settings))
    known = state.built_files()
    for earlier in history_files(settings):
        file = known.get(("snapshot", run_of(earlier)))
        if file is not None and file_sha256(earlier).hex() == file.digest:
            building = path.with_name("rapport.duckdb.building")
            shutil.copyfile(earlier, building)
            building.chmod(0o600)
            os.replace(building, path)
            break
    return damaged[0]


# --- files that are written anew under another key ----------------------------------


@contextmanager
def bytes_renewed(settings: Settings, state: ControlState) -> Iterator[set[Path]]:
    """Lend the damaged files of bronze while the sound ones are written anew.

    The bytes of sound files are forgotten before and noted again at the end: a kill leaves
    files that are not known. What is damaged must not be written anew, since it would
    look sound: bronze that is so is the caller's to leave. A damaged snapshot and damaged
    nights of the history are set aside: both are built again from bronze.
    """
    _set_all_damaged_aside(settings, state)
    runs = _runs_of_snapshots(settings, state)
    damaged = {
        settings.home / damage.place
        for damage in bronze_damage(settings, state)
        if damage.what != "missing"
    }
    files = {settings.home / "bronze" / name: name for _, _, name, _, _ in
             state.bronze_digests()}  # fmt: skip
    state.forget_bytes(name for path, name in files.items() if path not in damaged)
    yield damaged
    seal_bronze(settings, state, but=damaged)
    state.remember_built(
        built("snapshot", run, path) for path, run in runs.items() if path.exists()
    )


def _set_all_damaged_aside(settings: Settings, state: ControlState) -> None:
    damaged = set_damaged_aside(settings, state)
    if damaged is not None:
        _tell_of_aside(settings, published_path(settings), damaged.what)
    for damage in snapshot_damage(settings, state):
        if damage.kind == "history":
            set_aside(settings, settings.home / damage.place, damage.what)


def set_aside(settings: Settings, path: Path, what: str) -> None:
    """Take a damaged snapshot, or night of the history, away, and say where it is kept."""
    os.replace(path, _aside(settings, path))
    _tell_of_aside(settings, path, what)


def _aside(settings: Settings, path: Path) -> Path:
    aside = damaged_path(settings)
    private_folder(aside.parent)
    is_history = path.parent.name == "history"
    return aside.with_name(f"{aside.name}.{path.stem}") if is_history else aside


def _tell_of_aside(settings: Settings, path: Path, what: str) -> None:
    observe.event("snapshot_damaged", n_damaged=1)
    place, kept = (
        one.relative_to(settings.home).as_posix()
        for one in (path, _aside(settings, path))
    )
    observe.say(f"  {place} was {what}: it is kept as {kept}")


def _runs_of_snapshots(settings: Settings, state: ControlState) -> dict[Path, str]:
    """Return the run of the snapshot and of each night of the history.

    A night of the history that is the snapshot's own is deleted: one run's bytes are
    noted once, and the next publish keeps it again.
    """
    path = published_path(settings)
    found = {earlier: run_of(earlier) for earlier in history_files(settings)}
    if not path.exists():
        return found
    digest = file_sha256(path).hex()
    known = [
        run_id
        for (kind, run_id), file in state.built_files().items()
        if kind == "snapshot" and file.digest == digest
    ]
    mine = known[0] if known else _published_run_in(path)
    for earlier in [one for one, run_id in found.items() if run_id == mine]:
        earlier.unlink()
        del found[earlier]
    return {**found, path: mine}


def _published_run_in(path: Path) -> str:
    try:
        with open_database(path, read_only=True) as con:
            row = con.execute(
                "select run_id from ops.run where outcome = 'published'"
                " order by started_at desc, run_id desc limit 1"
            ).fetchone()
    except duckdb.Error:  # nobody noted its bytes; who writes it anew finds it so
        return ""
    return str(row[0]) if row else ""


def try_restore(settings: Settings, state: ControlState) -> tuple[str, int, list[str]]:
    """Restore the newest earlier snapshot into a folder of its own, and count its rows.

    Returns:
        What was restored, how many rows it holds, and the tables that differ from what
        its night published; nothing is restored before a second night.
    """
    known = state.built_files()
    for path in [*history_files(settings), published_path(settings)]:
        run_id = run_of(path) if path.parent.name == "history" else _last(state)
        file = known.get(("snapshot", run_id))
        if file is None or not path.exists():
            continue
        copy = temp_folder(settings) / "restore_test.duckdb"
        try:
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            try:
                counts = row_counts(copy)
            except (duckdb.Error, KeyMissing):  # no key opens a damaged header
                return run_id, 0, ["unreadable"]
        finally:
            copy.unlink(missing_ok=True)
        tables = sorted({*counts, *file.n_rows})
        wrong = [name for name in tables if counts.get(name) != file.n_rows.get(name)]
        return run_id, sum(counts.values()), wrong
    return "", 0, []


def damage_of(settings: Settings) -> tuple[list[Damage], list[str]]:
    """Return every damaged file, and what else does not hold, in words."""
    store = store_path(settings.home)
    try:
        check_seal(store)
        state = ControlState(settings.home)
        lines = state.problems()
        damage = bronze_damage(settings, state) + snapshot_damage(settings, state)
    except (StateDamaged, KeyMissing) as error:
        return [], [error.message]
    for copy in every_copy(store):
        try:
            check_seal(copy)
        except StateDamaged:
            lines.append(f"state/backup/{copy.name}: altered since it was made")
    return damage, lines


def _last(state: ControlState) -> str:
    published = [run.run_id for run in state.runs() if run.outcome == "published"]
    return published[-1] if published else ""
