"""``rapport housekeeping``: what is over its time, what was damaged, what can be restored.

Each step can be repeated and stands by itself: one that fails leaves the others to run.
Nothing is deleted that is not loaded and published, no symbolic link is followed, and
each path lies below RAPPORT_HOME (ADR 0053).
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rapport import observe
from rapport.errors import Damaged, ExitCode, RapportError
from rapport.files import private_folder
from rapport.health import tells_health
from rapport.ingest.inbox import Found
from rapport.live import airflow_environment, laid_version, metadata_url
from rapport.night import Safe
from rapport.privacy import Vault
from rapport.privacy.audit import cut_audit
from rapport.settings import Settings
from rapport.state import ControlState, Deletion, Delivery, Run, writer_lock
from rapport.warehouse.integrity import damage_of, try_restore
from rapport.warehouse.publish import drop_history

LOG_BYTES = 10_000_000
_GOING = ".deleted-"
_MOST_LINES = 20
_AIRFLOW_TABLES = ("dag_run", "task_instance", "xcom", "log", "job")


# --- retention ----------------------------------------------------------------------


@tells_health
def retire(settings: Settings) -> Safe:
    """Delete what is over its time (privacy.md A6), and count it in the control state.

    Returns:
        What went, by kind; ``n_kept`` counts deliveries that are old enough and stay,
        since nothing of them, or not all, is loaded, or their bytes have changed.
    """
    with writer_lock(settings.home):
        state = ControlState(settings.home)
        now = datetime.now(UTC)
        quarantine = _retire_quarantine(settings, now)
        inbox, n_kept = _retire_inbox(settings, state, now)
        found = [
            quarantine,
            inbox,
            _retire_files(settings, "logs", settings.retention.logs_days, now),
            _retire_files(settings, "lineage", settings.retention.lineage_days, now),
            _retire_proofs(settings, now),
            _cut_audit(settings, now),
        ]
        state.record_deletions(found)
        found.append(drop_history(settings, state))
    counts: dict[str, int] = {f"n_{one.what}": one.n_items for one in found}
    counts["n_bytes"] = sum(one.n_bytes for one in found)
    counts["n_kept"] = n_kept
    return counts


def _over(days: int, now: datetime) -> datetime:
    """Return the moment before which things are over their time; 0 days keeps all."""
    return now - timedelta(days=days) if days else datetime.min.replace(tzinfo=UTC)


def _retire_inbox(
    settings: Settings, state: ControlState, now: datetime
) -> tuple[Deletion, int]:
    inbox = settings.home / "inbox"
    over = _over(settings.retention.inbox_days, now)
    # A kill may have left one that was on its way out.
    gone = [path for source in _folders(inbox) for path in source.glob(f"{_GOING}*")]
    n_items = n_bytes = n_kept = 0
    names = Vault(settings.home).delivery_sources()
    published = [run for run in state.nights() if run.outcome == "published"]
    waiting = {row["batch_id"] for row in state.refusals()}
    for delivery in state.deliveries():
        source, delivery_id = names.get(delivery.batch_id, ("", ""))
        folder = inbox / source / delivery_id
        if not source or not _is_ours(settings, folder) or not folder.is_dir():
            continue
        since = _published_at(delivery, published)
        if (since or delivery.picked_up_at) >= over:
            continue
        quarantine = settings.home / "quarantine" / source / delivery.batch_id
        is_waiting = delivery.batch_id in waiting and quarantine.exists()
        found = Found(source, delivery_id, folder)
        if (
            since is None
            or delivery.outcome == "refused"
            or is_waiting
            or not _is_known(found, delivery)
        ):
            n_kept += 1
            continue
        # Out of sight in one step: half a delivery would look like a changed one.
        going = folder.with_name(f"{_GOING}{delivery.batch_id}")
        os.rename(folder, going)
        gone.append(going)
    for folder in gone:
        n_items += 1
        n_bytes += _tree_bytes(folder)
        shutil.rmtree(folder)
    return Deletion(now, "inbox", n_items, n_bytes), n_kept


def _is_known(found: Found, delivery: Delivery) -> bool:
    return found.stat_mark() == delivery.stat_mark or found.digest() == delivery.digest


def _published_at(delivery: Delivery, published: list[Run]) -> datetime | None:
    """Return when a delivery was first part of a snapshot; None when it never was."""
    for run in published:
        if (
            run.ended_at is not None
            and delivery.picked_up_at <= run.started_at
            and (run.known_on is None or delivery.received_at.date() <= run.known_on)
        ):
            return run.ended_at
    return None


def _retire_quarantine(settings: Settings, now: datetime) -> Deletion:
    over = _over(settings.retention.quarantine_days, now).timestamp()
    n_items = n_bytes = 0
    for source in _folders(settings.home / "quarantine"):
        for batch in _folders(source):
            newest = max(path.lstat().st_mtime for path in [batch, *batch.rglob("*")])
            if _is_ours(settings, batch) and newest < over:
                n_items += 1
                n_bytes += _tree_bytes(batch)
                shutil.rmtree(batch)
    return Deletion(now, "quarantine", n_items, n_bytes)


def _retire_files(
    settings: Settings, folder: str, days: int, now: datetime
) -> Deletion:
    """Delete files of a folder that nobody has written to for so many days."""
    over = _over(days, now).timestamp()
    n_items = n_bytes = 0
    top = settings.home / folder
    for path in _files(top):
        said = path.lstat()
        if _is_ours(settings, path) and said.st_mtime < over:
            n_items += 1
            n_bytes += said.st_size
            path.unlink()
    for below in sorted(top.rglob("*"), reverse=True):
        if below.is_dir() and not below.is_symlink() and not any(below.iterdir()):
            below.rmdir()
    return Deletion(now, folder, n_items, n_bytes)


def _retire_proofs(settings: Settings, now: datetime) -> Deletion:
    """Delete proofs of erasures that are over their time; one under way stays."""
    over = _over(settings.retention.audit_days, now).timestamp()
    n_items = n_bytes = 0
    for path in _files(settings.home / "vault" / "purges"):
        said = path.lstat()
        is_proof = path.name.removesuffix(".json").isdecimal()
        if is_proof and _is_ours(settings, path) and said.st_mtime < over:
            n_items += 1
            n_bytes += said.st_size
            path.unlink()
    return Deletion(now, "purge_proofs", n_items, n_bytes)


def _cut_audit(settings: Settings, now: datetime) -> Deletion:
    if not settings.retention.audit_days:
        return Deletion(now, "audit_entries", 0, 0)
    cut = cut_audit(settings.home, _over(settings.retention.audit_days, now))
    return Deletion(now, "audit_entries", *cut)


# --- logs and Airflow's records -----------------------------------------------------


@tells_health
def rotate_logs(settings: Settings) -> Safe:
    """Pack the log of earlier days, or one that grew long, and begin a new one."""
    n_rotated = n_bytes = 0
    logs = settings.home / "logs"
    for path in _files(logs, deep=False):
        if path.suffix not in (".jsonl", ".log") or not _is_due(path):
            continue
        day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
        n_bytes += path.stat().st_size
        _pack(path, day)
        n_rotated += 1
    return {"n_rotated": n_rotated, "n_bytes": n_bytes}


def _is_due(path: Path) -> bool:
    """Tell whether a log is long, or its first line is of an earlier day."""
    said = path.stat()
    if path.suffix == ".log":  # a process may hold it open
        quiet = datetime.now(UTC).timestamp() - said.st_mtime > 3600
        return quiet and said.st_size > LOG_BYTES
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return said.st_size > LOG_BYTES or (
        bool(first) and first[7:17] < datetime.now(UTC).date().isoformat()
    )


def _pack(path: Path, day: date) -> None:
    """Rename, pack, remove: writers open the log anew for each line."""
    number = 1
    while True:
        moved = path.with_name(f"{path.stem}-{day}-{number}{path.suffix}")
        packed = moved.with_name(f"{moved.name}.gz")
        if not moved.exists() and not packed.exists():
            break
        number += 1
    os.rename(path, moved)
    handle = os.open(packed, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with (
        moved.open("rb") as plain,
        os.fdopen(handle, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb") as out,
    ):
        shutil.copyfileobj(plain, out)
    os.utime(packed, (moved.stat().st_atime, moved.stat().st_mtime))
    moved.unlink()


@tells_health
def clean_airflow(settings: Settings) -> Safe:
    """Delete Airflow's records that are over their time, by Airflow's own command.

    Raises:
        RapportError: the command failed; its words are in ``logs/airflow_clean.log``.
    """
    days = settings.retention.airflow_days
    if not days or not laid_version(settings.home):
        return {"n_airflow": 0}
    before = _airflow_rows(metadata_url(settings))
    logs = settings.home / "logs"
    private_folder(logs)
    over = _over(days, datetime.now(UTC)).isoformat(timespec="seconds")
    with (logs / "airflow_clean.log").open("wb") as out:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("airflow")),
                "db",
                "clean",
                "--clean-before-timestamp",
                over,
                "--skip-archive",
                "--error-on-cleanup-failure",
                "--yes",
            ],
            env=airflow_environment(settings),
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode != 0:
        raise RapportError(
            "Airflow did not clean its records",
            next_step="its own words: logs/airflow_clean.log",
            reason="airflow_clean_failed",
        )
    n_gone = max(0, before - _airflow_rows(metadata_url(settings)))
    with writer_lock(settings.home):
        deletion = Deletion(datetime.now(UTC), "airflow", n_gone, 0)
        ControlState(settings.home).record_deletions([deletion])
    return {"n_airflow": n_gone}


def _airflow_rows(url: str) -> int:
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with closing(engine.connect()) as con:
        counts = [
            con.execute(text(f"select count(*) from {table}")).scalar_one()
            for table in _AIRFLOW_TABLES
        ]
    engine.dispose()
    return sum(counts)


# --- what must be whole -------------------------------------------------------------


@tells_health
def verify(settings: Settings) -> Safe:
    """Hold every file against the ledger: bronze, snapshot, history, control state.

    Raises:
        Damaged: what is damaged, each file by name, and what to do.
    """
    with writer_lock(settings.home):
        state = ControlState(settings.home)
        damage, lines = damage_of(settings)
        files = state.bronze_digests()
    n_found = len(damage) + len(lines)
    if n_found:
        observe.event("damage_found", n_damaged=n_found)
        raise Damaged(
            "\n".join(
                [
                    "not everything is what rapport wrote "
                    f"({n_found} {'place' if n_found == 1 else 'places'}):",
                    *(f"  {one}" for one in [*damage, *lines][:_MOST_LINES]),
                ]
            ),
            next_step="docs/runbooks/corrupt-file.md",
        )
    return {
        "n_files": len(files),
        "n_rows": sum(row[3] for row in files),
        "n_damaged": 0,
    }


@tells_health
def rehearse_restore(settings: Settings) -> Safe:
    """Restore the newest earlier snapshot aside and count its rows.

    Raises:
        Damaged: a table has not the rows that were published.
    """
    with writer_lock(settings.home):
        run_id, n_rows, wrong = try_restore(settings, ControlState(settings.home))
    if wrong:
        raise Damaged(
            f"the snapshot of run {run_id} does not come back as it was published: "
            + ", ".join(wrong[:_MOST_LINES]),
            next_step="docs/runbooks/corrupt-file.md",
            reason="restore_failed",
        )
    return {"run_id": run_id or "none", "n_rows": n_rows}


@tells_health
def vacuum(settings: Settings) -> Safe:
    """Give the control state's free pages back."""
    with writer_lock(settings.home):
        before, after = ControlState(settings.home).vacuum()
    return {"n_bytes_before": before, "n_bytes": after}


# --- all of it ----------------------------------------------------------------------

STEPS: dict[str, tuple[str, Callable[[Settings], Safe]]] = {
    "retire": ("delete what is over its time", retire),
    "rotate_logs": ("pack the logs of earlier days", rotate_logs),
    "clean_airflow": ("clean Airflow's records", clean_airflow),
    "verify": ("hold every file against the ledger", verify),
    "rehearse_restore": ("restore the newest earlier snapshot", rehearse_restore),
    "vacuum": ("give free pages back", vacuum),
}


@dataclass(frozen=True)
class Done:
    """What one step came to: its counts, or its error in its own words."""

    step: str
    counts: dict[str, Any]
    error: str = ""
    next_step: str = ""
    exit_code: ExitCode = ExitCode.DONE

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = {"step": self.step, "ok": not self.error}
        if self.error:
            return {**found, "error": self.error, "next": self.next_step}
        return {**found, "counts": self.counts}


def keep_house(settings: Settings) -> list[Done]:
    """Run every step; one that fails does not stop the others."""
    return list(_kept(settings))


def _kept(settings: Settings) -> Iterator[Done]:
    for name, (label, step) in STEPS.items():
        try:
            with observe.step(name, label):
                counts = dict(step(settings))
        except RapportError as error:
            yield Done(name, {}, error.message, error.next_step, error.exit_code)
        except (OSError, sqlite3.Error) as error:
            said = f"it stopped: {type(error).__name__}"
            yield Done(name, {}, said, "rapport doctor", ExitCode.FAILED)
        else:
            yield Done(name, counts)


def exit_code_of(done: list[Done]) -> ExitCode:
    """Return what housekeeping ends with: busy when another writer was all that failed."""
    codes = {step.exit_code for step in done if step.error}
    if codes == {ExitCode.BUSY}:
        return ExitCode.BUSY
    return ExitCode.FAILED if codes else ExitCode.DONE


# --- paths --------------------------------------------------------------------------


def _is_ours(settings: Settings, path: Path) -> bool:
    """Tell whether a path is below RAPPORT_HOME with no symbolic link on the way."""
    home = settings.home.resolve()
    try:
        below = path.relative_to(settings.home)
    except ValueError:
        return False
    return ".." not in below.parts and path.resolve() == home / below


def _folders(parent: Path) -> list[Path]:
    if parent.is_symlink() or not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.is_symlink())


def _files(folder: Path, *, deep: bool = True) -> list[Path]:
    """List plain files of a folder, links left out."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = []
    for at, below, names in os.walk(folder, followlinks=False):
        if not deep:
            below.clear()
        found += [Path(at) / name for name in names]
    return sorted(p for p in found if p.is_file() and not p.is_symlink())


def _tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))
