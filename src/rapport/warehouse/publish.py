"""Publish by swap: a new file beside the old one, synced, then one rename.

Readers see the old file or the new one, never a mixture. The snapshot is always a fresh
file copied from the candidate, which holds the published schemas alone.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from rapport.errors import BuiltFileDamaged, is_corrupt, shortage
from rapport.files import private_folder, sync
from rapport.settings import Settings
from rapport.state import ControlState, Deletion, Run
from rapport.warehouse.changes import (
    BASELINE_COMMENTS,
    COMMENTS,
    count_changes,
    note_baselines,
)
from rapport.warehouse.connections import (
    attach,
    candidate_path,
    insert_rows,
    kept_path,
    open_database,
    published_path,
    scratch,
)
from rapport.warehouse.increment import keep
from rapport.warehouse.integrity import built, history_files, snapshot_damage

_OPS_RUN = """
create table ops.run (
    run_id varchar not null,
    as_of date not null,
    known_on date,
    started_at timestamp not null,
    ended_at timestamp,
    outcome varchar not null,
    settings_digest varchar not null,
    audit_head varchar,
    n_deleted bigint not null
)"""
_OPS_CHECK = """
create table ops.check_result (
    run_id varchar not null,
    layer varchar not null,
    table_name varchar not null,
    check_name varchar not null,
    severity varchar not null,
    status varchar not null,
    passed boolean not null,
    observed double,
    expected varchar not null,
    waived boolean not null
)"""
_OPS_SIGNAL_ERASURE = """
create table ops.signal_erasure (
    erased_at timestamp not null,
    n_signals integer not null
)"""
_COMMENTS = {
    "table ops.run": "One row a run of the chain.",
    "column ops.run.run_id": "Opaque name of the run.",
    "column ops.run.as_of": "Facts after this date did not count.",
    "column ops.run.known_on": "Only deliveries received by this date counted; null: all.",
    "column ops.run.started_at": "When the run began, UTC.",
    "column ops.run.ended_at": "When the run ended, UTC; null: it was cut off.",
    "column ops.run.outcome": "published, refused, failed or interrupted; rebuilt: a past "
    "night that was built again, for the history alone.",
    "column ops.run.settings_digest": "SHA-256 of the settings that move a number.",
    "column ops.run.audit_head": "Number and hash of the audit log's last entry.",
    "column ops.run.n_deleted": "Files and records that retention deleted since the run "
    "before began.",
    "table ops.delivery": "One row a delivery that the ledger knows.",
    "column ops.delivery.delivery_id": "Opaque name of the delivery.",
    "column ops.delivery.source": "Source that sent it.",
    "column ops.delivery.received_at": "When it was received, UTC.",
    "column ops.delivery.picked_up_at": "When the door took it in, UTC.",
    "column ops.delivery.outcome": "loaded, partly_loaded or refused.",
    "column ops.delivery.n_files": "Files it held, the marker left out.",
    "table ops.row_ledger": "One row a delivered file and table: where its rows went.",
    "column ops.row_ledger.delivery_id": "Opaque name of the delivery.",
    "column ops.row_ledger.source": "Source that sent it.",
    "column ops.row_ledger.file": "Opaque name of the file.",
    "column ops.row_ledger.table_name": "Canonical table that it feeds.",
    "column ops.row_ledger.rows_in": "Rows that arrived: the sum of the rest.",
    "column ops.row_ledger.rows_loaded": "Rows in bronze.",
    "column ops.row_ledger.rows_quarantined": "Rows in quarantine, with a reason.",
    "column ops.row_ledger.rows_filtered": "Rows left out by a named rule.",
    "column ops.row_ledger.rows_footer": "Title, total and footer rows.",
    "column ops.row_ledger.rows_blank": "Rows without any value.",
    "column ops.row_ledger.encoding": "How the bytes were read.",
    "table ops.check_result": "One row a check of a night.",
    "column ops.check_result.run_id": "The run that was checked.",
    "column ops.check_result.layer": "bronze, history, marts or ledger.",
    "column ops.check_result.table_name": "Table that was checked.",
    "column ops.check_result.check_name": "Stable name of the check.",
    "column ops.check_result.severity": "critical refuses the night; warning and info do not.",
    "column ops.check_result.status": "pass, fail, or error when the check itself failed.",
    "column ops.check_result.passed": "True when the check held.",
    "column ops.check_result.observed": "How many rows broke it; null when it held.",
    "column ops.check_result.expected": "What the check asks for, in words.",
    "column ops.check_result.waived": "True when a person let the night pass all the same.",
    "table ops.signal_erasure": "One row an erasure that took signals out of the log.",
    "column ops.signal_erasure.erased_at": "When it was done, UTC.",
    "column ops.signal_erasure.n_signals": "Signals that it took out.",
}


def candidate_mark(settings: Settings) -> str:
    """Return a mark of the candidate's bytes: what was checked is what is published."""
    said = candidate_path(settings).stat()
    return f"{said.st_size}:{said.st_mtime_ns}"


def publish_snapshot(
    settings: Settings, run_id: str, *, is_rekeyed: bool = False
) -> Path:
    """Replace the snapshot with the candidate and the control tables of tonight.

    Args:
        settings: the settings.
        run_id: the run that ends.
        is_rekeyed: the standing snapshot may be under an earlier key: no row of it has a
            key in common with the new one, so it is compared with nothing and not kept.

    Raises:
        DiskFull, MemoryLimitReached: no room left; the earlier snapshot stands.
    """
    path = published_path(settings)
    private_folder(path.parent)
    for left in path.parent.glob("*.building*"):
        left.unlink()
    building = path.with_name("rapport.duckdb.building")
    try:
        before = "before" if path.exists() and not is_rekeyed else None
        _write(settings, run_id, building, before, "published")
        sync(building)
        # Noted before the rename: a snapshot whose bytes nobody knows is a damaged one.
        state = ControlState(settings.home)
        state.remember_built([built("snapshot", run_id, building)])
        if before:
            _keep_history(settings, state, path)
        os.replace(building, path)
        sync(path.parent)
        if keep(settings, run_id):
            state.remember_built([built("kept", run_id, kept_path(settings))])
    except (OSError, duckdb.Error) as error:
        if short := shortage(error, "publishing", again="rapport publish"):
            building.unlink(missing_ok=True)
            raise short from None
        if is_corrupt(error):
            building.unlink(missing_ok=True)
            raise _damaged(settings) from None
        raise
    return path


def _damaged(settings: Settings) -> BuiltFileDamaged:
    """Say which of the two files that a publish reads is damaged."""
    standing = snapshot_damage(settings, ControlState(settings.home))
    place = next((d.place for d in standing if d.kind == "snapshot"), "")
    return BuiltFileDamaged(place or "warehouse/candidate.duckdb")


def keep_past_night(settings: Settings, run_id: str, as_of: date) -> Path:
    """Put the candidate into the history: a past night never replaces the snapshot.

    Raises:
        DiskFull, MemoryLimitReached: no room left; nothing of it is kept.
    """
    folder = published_path(settings).parent / "history"
    private_folder(folder)
    path = folder / f"{as_of.isoformat()}.{run_id}.duckdb"
    building = path.with_name(f"{path.name}.building")
    for left in folder.glob("*.building*"):
        left.unlink()
    try:
        _write(settings, run_id, building, None, "rebuilt")
        sync(building)
        ControlState(settings.home).remember_built(
            [built("snapshot", run_id, building)]
        )
        os.replace(building, path)
        sync(folder)
    except (OSError, duckdb.Error) as error:
        building.unlink(missing_ok=True)
        short = shortage(
            error, "keeping a past night", again="the same rapport backfill"
        )
        if short:
            raise short from None
        if is_corrupt(error):
            raise BuiltFileDamaged("warehouse/candidate.duckdb") from None
        raise
    return path


def _write(
    settings: Settings, run_id: str, building: Path, before: str | None, outcome: str
) -> None:
    """Write the candidate and the control tables into a new file.

    Args:
        settings: the settings.
        run_id: the run that ends.
        building: the file.
        before: the name under which the standing snapshot is attached, to tell what
            changes; None compares with nothing.
        outcome: what the run comes to.
    """
    state = ControlState(settings.home)
    is_encrypted = settings.security.encrypt_at_rest
    with scratch(settings) as con:
        attach(con, candidate_path(settings), "pub", read_only=True)
        attach(con, building, "snap", encrypted=is_encrypted, oldest=True)
        con.execute("copy from database pub to snap")
        if before:
            attach(con, published_path(settings), before, read_only=True)
        con.execute("use snap")
        _ops_tables(con, state, run_id, outcome)
        count_changes(con, run_id, before, "snap")
        note_baselines(con, run_id, before, "snap")
        _describe(con, {**_COMMENTS, **COMMENTS, **BASELINE_COMMENTS})
        con.execute("checkpoint snap")
        con.execute("use memory")
        con.execute("detach snap")
    if building.with_name(building.name + ".wal").exists():
        raise OSError("the snapshot was not checkpointed")


def _ops_tables(
    con: duckdb.DuckDBPyConnection, state: ControlState, run_id: str, outcome: str
) -> None:
    con.execute("create schema if not exists ops")
    for table in ("run", "check_result", "signal_erasure"):
        con.execute(f"drop table if exists ops.{table}")
    now = datetime.now(UTC).replace(tzinfo=None)
    con.execute(_OPS_RUN)
    runs = state.runs()
    n_deleted = _deleted_before(state, runs)
    insert_rows(
        con,
        "ops.run",
        [
            (
                run.run_id,
                run.as_of,
                run.known_on,
                run.started_at.replace(tzinfo=None),
                now
                if run.run_id == run_id
                else run.ended_at.replace(tzinfo=None)
                if run.ended_at
                else None,
                outcome if run.run_id == run_id else run.outcome,
                run.settings_digest,
                run.audit_head,
                n_deleted[run.run_id],
            )
            for run in runs
        ],
    )
    con.execute(_OPS_CHECK)
    waived = state.waived()
    insert_rows(
        con,
        "ops.check_result",
        [(*row, (row[0], row[3]) in waived) for row in state.checks()],
    )
    con.execute(_OPS_SIGNAL_ERASURE)
    insert_rows(con, "ops.signal_erasure", state.signal_erasures())


def _deleted_before(state: ControlState, runs: list[Run]) -> dict[str, int]:
    """Return, for each run, what retention deleted between the run before and it."""
    found = {run.run_id: 0 for run in runs}
    for deletion in state.deletions():
        later = [run for run in runs if run.started_at >= deletion.deleted_at]
        if later:
            found[later[0].run_id] += deletion.n_items
    return found


def _describe(con: duckdb.DuckDBPyConnection, comments: dict[str, str]) -> None:
    for what, comment in comments.items():
        kind, name = what.split(" ", 1)
        con.execute(
            f"comment on {kind} {name} is '{comment.replace(chr(39), chr(39) * 2)}'"
        )


def _keep_history(settings: Settings, state: ControlState, path: Path) -> None:
    """Keep the snapshot that is replaced: the newest nights, and month ends."""
    with open_database(path, read_only=True) as con:
        run = con.execute(
            "select as_of, run_id from ops.run where outcome = 'published'"
            " order by started_at desc limit 1"
        ).fetchone()
    if run is None:
        return
    folder = path.parent / "history"
    folder.mkdir(exist_ok=True, mode=0o700)
    kept = folder / f"{run[0].isoformat()}.{run[1]}.duckdb"
    if not kept.exists():
        os.link(path, kept)
    drop_history(settings, state)


def drop_history(settings: Settings, state: ControlState) -> Deletion:
    """Delete the snapshots that are over their time, and count them.

    The newest nights and the last night of each month stay, with every snapshot that a
    night has: one that was built again stands beside the first.
    """
    files = history_files(settings)
    nights = sorted({path.name[:10] for path in files}, reverse=True)
    month_ends: dict[str, str] = {}
    for night in reversed(nights):
        month_ends[night[:7]] = night
    limits = settings.warehouse
    keep = set(nights[: limits.history_nights])
    keep |= set(sorted(month_ends.values(), reverse=True)[: limits.history_months])
    n_bytes = 0
    gone = [path for path in files if path.name[:10] not in keep]
    for path in gone:
        n_bytes += path.stat().st_size
        path.unlink()
    deletion = Deletion(datetime.now(UTC), "history", len(gone), n_bytes)
    state.record_deletions([deletion])
    return deletion


def published_runs(settings: Settings) -> list[tuple[str, datetime]]:
    """Return (run, ended at) of what the snapshot says it published, the last at the end."""
    path = published_path(settings)
    if not path.exists():
        return []
    with open_database(path, read_only=True) as con:
        return con.execute(
            "select run_id, ended_at from ops.run where outcome = 'published'"
            " order by started_at, run_id"
        ).fetchall()


def signal_entries_in(path: Path, run_id: str) -> list[tuple[Any, ...]]:
    """Return the entries that a run added to the signal log, dates and times as text."""
    with open_database(path, read_only=True) as con:
        return con.execute(
            "select run_id, as_of::varchar, signal_key, signal, instrument, episode_key,"
            " client_key, therapist_key, clinic_key, opened_on::varchar,"
            " strftime(first_detected_at, '%Y-%m-%dT%H:%M:%S.%f'), closed_on::varchar,"
            " closed_reason, evidence"
            " from ops.signal_log where run_id = ? order by signal_key",
            [run_id],
        ).fetchall()


def first_seen_in(path: Path) -> list[tuple[str, str, str]]:
    """Return (kind, key, first seen at) of everything that a snapshot shows."""
    with open_database(path, read_only=True) as con:
        return con.execute(
            "select 'rupture', rupture_key, strftime(first_seen_at,"
            " '%Y-%m-%dT%H:%M:%S.%f') from alliance.fct_rupture order by 2"
        ).fetchall()
