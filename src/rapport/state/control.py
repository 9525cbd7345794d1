"""The control store ``state/rapport.sqlite``: deliveries, row ledger, runs, checks, signals.

SQLite in WAL mode: many processes read it while one writes. It holds opaque names,
counts and reason codes only. A delivery exists from the moment its ledger commits.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from rapport.errors import DiskFull, RapportError, StateDamaged, is_disk_full
from rapport.files import private_folder
from rapport.privacy.store import open_store
from rapport.state.seal import (
    backup_folder,
    break_seal,
    copy_store,
    drop_copies,
    drop_old_copies,
    store_path,
    write_seal,
)

_NOT_SOUND = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX")
# What commit_delivery writes, and a retry replaces.
_OF_A_DELIVERY = (
    "delivery",
    "delivery_table",
    "bronze_file",
    "row_ledger",
    "refusal",
    "notice",
    "column_order",
    "delivery_metric",  # learned anew by the next gate
)

_FIRST_SCHEMA = """
create table delivery (
    batch_id text primary key,
    source text not null,
    digest text not null,
    stat_mark text not null,
    received_at text not null,
    picked_up_at text not null,
    outcome text not null check (outcome in ('loaded', 'partly_loaded', 'refused')),
    n_files integer not null
) strict;
create table delivery_table (
    batch_id text not null,
    table_name text not null,
    mode text not null check (mode in ('snapshot', 'delta')),
    primary key (batch_id, table_name)
) strict;
create table bronze_file (
    batch_id text not null,
    table_name text not null,
    path text not null unique,
    n_rows integer not null,
    primary key (batch_id, table_name)
) strict;
create table row_ledger (
    batch_id text not null,
    source text not null,
    file text not null,
    table_name text not null,
    encoding text,
    rows_in integer not null,
    rows_loaded integer not null,
    rows_quarantined integer not null,
    rows_filtered integer not null,
    rows_footer integer not null,
    rows_blank integer not null,
    primary key (batch_id, file, table_name),
    check (rows_in = rows_loaded + rows_quarantined + rows_filtered
        + rows_footer + rows_blank)
) strict;
create table refusal (
    batch_id text not null,
    source text not null,
    file text not null,
    table_name text not null,
    column_name text not null,
    reason text not null,
    n_rows integer not null,
    first_row integer,
    primary key (batch_id, file, table_name, column_name, reason)
) strict;
create table notice (
    batch_id text not null,
    source text not null,
    file text not null,
    table_name text not null,
    column_name text not null,
    reason text not null,
    n_rows integer not null,
    primary key (batch_id, file, table_name, column_name, reason)
) strict;
create table run (
    run_id text primary key,
    as_of text not null,
    known_on text,
    started_at text not null,
    ended_at text,
    outcome text not null check (outcome in
        ('running', 'built', 'validated', 'published', 'refused', 'failed',
         'interrupted')),
    settings_digest text not null,
    audit_head text,
    candidate_mark text
) strict;
create table check_result (
    run_id text not null,
    position integer not null,
    layer text not null,
    table_name text not null,
    check_name text not null,
    severity text not null,
    status text not null check (status in ('pass', 'fail', 'error')),
    passed integer not null,
    observed real,
    expected text not null,
    primary key (run_id, position)
) strict;
create table first_seen (
    kind text not null,
    key text not null,
    first_seen_at text not null,
    run_id text not null,
    primary key (kind, key)
) strict;
"""
# Append-only: what each night published of a signal that was new or had changed. An
# erasure leaves no key, only how many signals went.
_SIGNAL_LOG = """
create table signal_log (
    run_id text not null,
    as_of text not null,
    signal_key text not null,
    signal text not null,
    instrument text,
    episode_key text not null,
    client_key text not null,
    therapist_key text,
    clinic_key text,
    opened_on text not null,
    first_detected_at text not null,
    closed_on text,
    closed_reason text,
    evidence text not null,
    primary key (signal_key, run_id)
) strict;
create table signal_erasure (
    erased_at text not null,
    n_signals integer not null
) strict;
"""
# How each file's columns stood, so that a later delivery's drift can be told.
_COLUMN_ORDER = """
create table column_order (
    batch_id text not null,
    source text not null,
    table_name text not null,
    part text not null,
    columns text not null,
    primary key (batch_id, table_name, part)
) strict;
"""
# What later nights learn from, where a check did not hold, and what was waived.
_GATE = """
create table delivery_metric (
    batch_id text not null,
    table_name text not null,
    metric text not null,
    value real not null,
    n_rows integer not null,
    primary key (batch_id, table_name, metric)
) strict;
create table check_finding (
    run_id text not null,
    check_name text not null,
    position integer not null,
    source text not null,
    batch_id text not null,
    table_name text not null,
    metric text not null,
    value real not null,
    lower real,
    upper real,
    primary key (run_id, check_name, position)
) strict;
create table check_waived (
    run_id text not null,
    check_name text not null,
    expires_on text not null,
    primary key (run_id, check_name)
) strict;
"""
# The settings that guard something, as the last night had them.
_GUARDS = """
create table guard (
    name text primary key,
    value text not null
) strict;
"""
# Which keys the store was put under, so that a cut-off rotation does it once.
_ROTATION = """
create table rotation (
    kid text primary key,
    rotated_at text not null
) strict;
"""
# What the files of bronze and the built ones must be, byte for byte; what a run was made
# of; what retention deleted. A past night that was built again is `rebuilt`: it is never
# the snapshot that people read.
_UPKEEP = """
alter table bronze_file add column digest text;
create table built_file (
    kind text not null check (kind in ('snapshot', 'kept')),
    run_id text not null,
    digest text not null,
    n_rows text not null,
    primary key (kind, run_id)
) strict;
create table deletion (
    deleted_at text not null,
    what text not null,
    n_items integer not null,
    n_bytes integer not null
) strict;
create table run_anew (
    run_id text primary key,
    as_of text not null,
    known_on text,
    started_at text not null,
    ended_at text,
    outcome text not null check (outcome in
        ('running', 'built', 'validated', 'published', 'rebuilt', 'refused', 'failed',
         'interrupted')),
    settings_digest text not null,
    audit_head text,
    candidate_mark text,
    inputs text,
    is_past integer not null
) strict;
insert into run_anew select *, null, 0 from run;
drop table run;
alter table run_anew rename to run;
"""
# Each step takes the store to its next version, so an older store is brought up to date.
_STEPS = (
    _FIRST_SCHEMA,
    _SIGNAL_LOG,
    _COLUMN_ORDER,
    _GATE,
    _GUARDS,
    _ROTATION,
    _UPKEEP,
)
SCHEMA_VERSION = len(_STEPS)


@dataclass(frozen=True)
class Delivery:
    """One delivery that the ledger knows; names are the opaque ones."""

    batch_id: str
    source: str
    digest: str
    stat_mark: str
    received_at: datetime
    picked_up_at: datetime
    outcome: Literal["loaded", "partly_loaded", "refused"]
    n_files: int


@dataclass(frozen=True)
class LedgerRow:
    """Where the rows of one file went, for one table. The first sum equals the rest."""

    file: str
    table_name: str
    encoding: str | None
    rows_in: int
    rows_loaded: int
    rows_quarantined: int
    rows_filtered: int
    rows_footer: int
    rows_blank: int


@dataclass(frozen=True)
class Refusal:
    """Rows (or a whole file) in quarantine for one reason."""

    file: str
    table_name: str
    column_name: str
    reason: str
    n_rows: int
    first_row: int | None


@dataclass(frozen=True)
class Notice:
    """Something the door saw and loaded all the same, counted."""

    file: str
    table_name: str
    column_name: str
    reason: str
    n_rows: int


@dataclass(frozen=True)
class CheckResult:
    """One check of one night: numbers and booleans only."""

    layer: str
    table_name: str
    check_name: str
    severity: Literal["critical", "warning", "info"]
    status: Literal["pass", "fail", "error"]
    passed: bool
    observed: float | None
    expected: str


@dataclass(frozen=True)
class DeliveryMetric:
    """One count or share of one table of one delivery, which later nights learn from."""

    batch_id: str
    table_name: str
    metric: str
    value: float
    n_rows: int


@dataclass(frozen=True)
class CheckFinding:
    """Where a check of the history did not hold: opaque names, a number, its limits."""

    source: str
    batch_id: str
    table_name: str
    metric: str
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Run:
    """One run of the chain.

    Attributes:
        inputs: digest of all that its numbers hang on.
        is_past: whether it builds a past night for the history, beside the snapshot.
    """

    run_id: str
    as_of: date
    known_on: date | None
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    settings_digest: str
    audit_head: str | None
    candidate_mark: str | None
    inputs: str | None = None
    is_past: bool = False


@dataclass(frozen=True)
class BuiltFile:
    """A file that a published night left: its sha256, and the rows of each table."""

    kind: Literal["snapshot", "kept"]
    run_id: str
    digest: str
    n_rows: dict[str, int]


@dataclass(frozen=True)
class Deletion:
    """What retention deleted of one kind at one time."""

    deleted_at: datetime
    what: str
    n_items: int
    n_bytes: int


class ControlState:
    """The control store of one RAPPORT_HOME. Every method is one transaction."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = store_path(home)
        private_folder(self.path.parent)
        with self._connect() as con:
            version = con.execute("pragma user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        """Take the store to today's version; one with rows is copied aside before.

        Raises:
            RapportError: the store is of a later version.
        """
        before = schema_version(self._home)
        if 0 < before < SCHEMA_VERSION:
            self.copy_to(backup_folder(self.path) / f"rapport.version-{before}.sqlite")
        with self._transaction() as con:
            # Another process may have been quicker.
            version = con.execute("pragma user_version").fetchone()[0]
            for step in _STEPS[version:]:
                for statement in step.split(";\n"):
                    con.execute(statement)
            if version < SCHEMA_VERSION:
                con.execute(f"pragma user_version = {SCHEMA_VERSION}")
            elif version > SCHEMA_VERSION:
                raise RapportError(
                    f"state/rapport.sqlite is of version {version}; this rapport "
                    f"reads version {SCHEMA_VERSION}: it is older than its data",
                    next_step="use the rapport that wrote it, or a later one; going back "
                    "is docs/runbooks/upgrade.md",
                    reason="state_version",
                )

    @contextmanager
    def _connect(self, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            with open_store(
                self._home, self.path, writes=writes, isolation_level=None
            ) as con:
                con.row_factory = sqlite3.Row
                con.execute("pragma journal_mode = wal")
                con.execute("pragma synchronous = full")
                yield con
        except (sqlite3.DatabaseError, OSError) as error:
            if is_disk_full(error):
                raise DiskFull("writing the control state") from None
            if getattr(error, "sqlite_errorname", "") in _NOT_SOUND:
                raise StateDamaged("not readable") from None
            raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connect(writes=True) as con:
            con.execute("begin immediate")
            break_seal(self.path)
            try:
                yield con
                con.execute("commit")
            except BaseException:
                with suppress(sqlite3.OperationalError):  # a full disk ended it already
                    con.execute("rollback")
                raise

    def seal(self) -> None:
        """Note the store's bytes, so that a change by anything but rapport shows."""
        with self._settled() as is_settled:
            if is_settled:
                write_seal(self.path)

    def copy_to(self, path: Path) -> None:
        """Copy the store as it stands, whole or not at all.

        Raises:
            DiskFull: no room; nothing of the copy is kept.
        """
        with self._settled() as is_settled:
            if is_settled:
                copy_store(self.path, path)

    def back_up(self, run_id: str) -> None:
        """Copy the store into ``state/backup/``; the newest copies are kept."""
        self.copy_to(self._copy_of(run_id))
        drop_old_copies(self.path)

    def is_backed_up(self, run_id: str) -> bool:
        """Tell whether the copy of a published run is there."""
        return self._copy_of(run_id).exists()

    def _copy_of(self, run_id: str) -> Path:
        return backup_folder(self.path) / f"rapport.{run_id}.sqlite"

    @contextmanager
    def _settled(self) -> Iterator[bool]:
        """Keep writers out while all that was written stands in the one file."""
        with self._connect(writes=True) as con:
            busy = con.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
            con.execute("begin immediate")
            try:
                wal = self.path.with_name(f"{self.path.name}-wal")
                yield not busy and not (wal.exists() and wal.stat().st_size)
            finally:
                con.execute("rollback")

    # --- deliveries -----------------------------------------------------------------

    def deliveries(self) -> list[Delivery]:
        """List every delivery of the ledger, by batch id."""
        with self._connect() as con:
            found = con.execute("select * from delivery order by batch_id").fetchall()
        return [_delivery(row) for row in found]

    def commit_delivery(
        self,
        delivery: Delivery,
        *,
        modes: dict[str, str],
        bronze: Sequence[tuple[str, str, int, str]],
        ledger: Sequence[LedgerRow],
        refusals: Sequence[Refusal],
        notices: Sequence[Notice],
        columns: Mapping[tuple[str, str], Sequence[str]] | None = None,
        replace: bool = False,
    ) -> None:
        """Write all that is known of a delivery: from here on it exists.

        Args:
            delivery: the delivery.
            modes: ``snapshot`` or ``delta`` for each table it brought.
            bronze: (table, path below bronze/, rows, sha256) of each file written.
            ledger: where the rows went.
            refusals: what is in quarantine, and why.
            notices: what was seen and loaded all the same.
            columns: (table, pattern of the mapping) -> its known columns in their order.
            replace: put it in the place of what an earlier reading came to.
        """
        batch, source = delivery.batch_id, delivery.source
        with self._transaction() as con:
            if replace:
                for table in _OF_A_DELIVERY:
                    con.execute(f"delete from {table} where batch_id = ?", (batch,))
            con.executemany(
                "insert into column_order values (?, ?, ?, ?, ?)",
                [
                    (batch, source, table, part, json.dumps(list(names)))
                    for (table, part), names in sorted((columns or {}).items())
                ],
            )
            con.execute(
                "insert into delivery values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch,
                    source,
                    delivery.digest,
                    delivery.stat_mark,
                    _text(delivery.received_at),
                    _text(delivery.picked_up_at),
                    delivery.outcome,
                    delivery.n_files,
                ),
            )
            con.executemany(
                "insert into delivery_table values (?, ?, ?)",
                [(batch, table, mode) for table, mode in sorted(modes.items())],
            )
            con.executemany(
                "insert into bronze_file (batch_id, table_name, path, n_rows, digest)"
                " values (?, ?, ?, ?, ?)",
                [(batch, *written) for written in bronze],
            )
            _insert(con, "row_ledger", batch, source, ledger)
            _insert(con, "refusal", batch, source, refusals)
            _insert(con, "notice", batch, source, notices)

    def remember_stat_mark(self, batch_id: str, stat_mark: str) -> None:
        """Note that a known delivery's files were hashed again and are the same."""
        with self._transaction() as con:
            con.execute(
                "update delivery set stat_mark = ? where batch_id = ?",
                (stat_mark, batch_id),
            )

    def remember_bytes(self, batch_id: str, digest: str, stat_mark: str) -> None:
        """Note the bytes of a delivery that an erasure rewrote: it is still the same."""
        with self._transaction() as con:
            con.execute(
                "update delivery set digest = ?, stat_mark = ? where batch_id = ?",
                (digest, stat_mark, batch_id),
            )

    def count_erased(
        self,
        batch_id: str,
        table: str,
        n_rows: int,
        loaded: Mapping[str, int],
    ) -> int:
        """Bring the counts of a bronze file down to what it holds; return what went.

        Rows that went are filtered from now on, with the reason ``purged``. What is
        already so changes nothing.

        Args:
            batch_id: the delivery.
            table: the table.
            n_rows: rows that the bronze file holds.
            loaded: file -> rows of it in bronze; files that are not named hold none.
        """
        n_erased = 0
        with self._transaction() as con:
            con.execute(
                # A file that was rewritten has other bytes: they are noted at the end.
                "update bronze_file set n_rows = ?1,"
                " digest = case when n_rows = ?1 then digest end"
                " where batch_id = ?2 and table_name = ?3",
                (n_rows, batch_id, table),
            )
            rows = con.execute(
                "select source, file, rows_loaded from row_ledger"
                " where batch_id = ? and table_name = ?",
                (batch_id, table),
            ).fetchall()
            for row in rows:
                n = row["rows_loaded"] - loaded.get(row["file"], 0)
                if n > 0:
                    _move_to_filtered(con, batch_id, row, table, "rows_loaded", n)
                    n_erased += n
        return n_erased

    def n_quarantined(self, batch_id: str, file: str) -> int:
        """Return how many rows of a file the ledger says are in quarantine."""
        ((n,),) = self._rows(
            "select coalesce(sum(rows_quarantined), 0) from row_ledger"
            " where batch_id = ? and file = ?",
            (batch_id, file),
        )
        return int(n)

    def count_erased_refusals(self, batch_id: str, file: str, n_left: int) -> None:
        """Bring the refused rows of a file down to what is left; the rest is filtered.

        What is already so changes nothing.
        """
        with self._transaction() as con:
            rows = con.execute(
                "select source, file, table_name, rows_quarantined from row_ledger"
                " where batch_id = ? and file = ?",
                (batch_id, file),
            ).fetchall()
            for row in rows[:1]:
                n = row["rows_quarantined"] - n_left
                if n > 0:
                    _move_to_filtered(
                        con, batch_id, row, row["table_name"], "rows_quarantined", n
                    )

    def erase_first_seen(self, keys: Iterable[str]) -> None:
        """Forget when some facts were first seen."""
        with self._transaction() as con:
            con.executemany(
                "delete from first_seen where key = ?", [(key,) for key in keys]
            )

    def is_rotated(self, kid: str) -> bool:
        """Tell whether the store was put under a key already."""
        return bool(self._rows("select 1 from rotation where kid = ?", (kid,)))

    def rotate(
        self,
        kid: str,
        paths: Mapping[str, str],
        keys: Mapping[str, str],
        rotated_at: datetime,
    ) -> None:
        """Put the store under the next key, in one transaction.

        Args:
            kid: the key.
            paths: old path of a bronze file -> new one.
            keys: old key -> new one, of everything that is named here.
            rotated_at: when.
        """
        with self._transaction() as con:
            con.execute("create temp table renewed (old text primary key, new text)")
            con.executemany("insert into renewed values (?, ?)", list(keys.items()))
            con.executemany(
                "update bronze_file set path = ?, digest = null where path = ?",
                [(new, old) for old, new in paths.items()],
            )
            for table, column in (
                ("signal_log", "signal_key"),
                ("signal_log", "episode_key"),
                ("signal_log", "client_key"),
                ("signal_log", "therapist_key"),
                ("signal_log", "clinic_key"),
                ("first_seen", "key"),
            ):
                con.execute(
                    f"update {table} set {column} ="
                    f" (select new from renewed where old = {column})"
                    f" where {column} in (select old from renewed)"
                )
            con.execute("drop table renewed")
            con.execute("insert into rotation values (?, ?)", (kid, _text(rotated_at)))

    def rewrite(self) -> None:
        """Write the store anew, so that no free page holds what was deleted.

        Copies of it go too: they hold it still.
        """
        drop_copies(self.path)
        break_seal(self.path)
        with self._connect(writes=True) as con:
            con.execute("pragma wal_checkpoint(truncate)")
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")

    def vacuum(self) -> tuple[int, int]:
        """Give free pages back; return the bytes before and after."""
        before = self.path.stat().st_size
        break_seal(self.path)
        with self._connect(writes=True) as con:
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")
        return before, self.path.stat().st_size

    def problems(self) -> list[str]:
        """Return what does not hold within the store, in words; nothing when all does."""
        with self._connect() as con:
            said = con.execute("pragma integrity_check").fetchone()[0]
        unequal = self._rows(
            "select batch_id, table_name from bronze_file as b where n_rows <>"
            " (select coalesce(sum(rows_loaded), 0) from row_ledger as r"
            " where r.batch_id = b.batch_id and r.table_name = b.table_name)"
        )
        return [
            *([] if said == "ok" else ["the store is not sound within"]),
            *(
                f"delivery {batch}, {table}: the row ledger and bronze do not add up"
                for batch, table in unequal
            ),
        ]

    def add_refusal(self, delivery: Delivery, refusal: Refusal) -> bool:
        """Record a refusal found later; return whether it is new."""
        with self._transaction() as con:
            cursor = con.execute(
                "insert or ignore into refusal values (?, ?, ?, ?, ?, ?, ?, ?)",
                (delivery.batch_id, delivery.source, *astuple(refusal)),
            )
            return cursor.rowcount > 0

    def bronze_files(self) -> dict[str, list[tuple[str, str]]]:
        """Return, for each table, (batch id, path below bronze/) in path order."""
        with self._connect() as con:
            rows = con.execute(
                "select table_name, batch_id, path from bronze_file order by path"
            ).fetchall()
        found: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            found.setdefault(row["table_name"], []).append(
                (row["batch_id"], row["path"])
            )
        return found

    def bronze_of(self, batch_id: str) -> dict[str, str]:
        """Return, for each table of a delivery, its path below bronze/."""
        return dict(
            self._rows(
                "select table_name, path from bronze_file where batch_id = ?",
                (batch_id,),
            )
        )

    def columns_before(
        self, source: str, batch_id: str
    ) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return the columns that a source's other deliveries had, the last one's.

        Keyed by table and by the pattern of the mapping; known columns only, in the order
        of the file.
        """
        rows = self._rows(
            "select table_name, part, columns from column_order as c"
            " join delivery as d using (batch_id)"
            " where c.source = ? and batch_id <> ?"
            " order by d.picked_up_at, batch_id",
            (source, batch_id),
        )
        return {(table, part): tuple(json.loads(names)) for table, part, names in rows}

    def bronze_rows(self) -> list[tuple[str, str, int]]:
        """List (batch id, table, rows) of every bronze file."""
        return self._rows(
            "select batch_id, table_name, n_rows from bronze_file order by 1, 2"
        )

    def bronze_digests(self) -> list[tuple[str, str, str, int, str | None]]:
        """List (batch id, table, path, rows, sha256 or None) of every bronze file."""
        return self._rows(
            "select batch_id, table_name, path, n_rows, digest from bronze_file"
            " order by path"
        )

    def remember_bronze_digests(self, digests: Mapping[str, str]) -> None:
        """Note what the bytes of bronze files are, by path below bronze/."""
        if digests:
            with self._transaction() as con:
                con.executemany(
                    "update bronze_file set digest = ? where path = ?",
                    [(digest, path) for path, digest in digests.items()],
                )

    def forget_bytes(self, bronze: Iterable[str]) -> None:
        """Forget the bytes of files that are about to be written anew.

        Until they are noted again a kill leaves files that are not known, not damaged ones.

        Args:
            bronze: paths below bronze/; built files are forgotten all.
        """
        with self._transaction() as con:
            con.executemany(
                "update bronze_file set digest = null where path = ?",
                [(path,) for path in bronze],
            )
            con.execute("delete from built_file")

    def remember_built(self, files: Iterable[BuiltFile]) -> None:
        """Note what a published night left; of the kept database, the last one only."""
        with self._transaction() as con:
            for file in files:
                if file.kind == "kept":
                    con.execute("delete from built_file where kind = 'kept'")
                con.execute(
                    "insert or replace into built_file values (?, ?, ?, ?)",
                    (file.kind, file.run_id, file.digest, json.dumps(file.n_rows)),
                )

    def built_files(self) -> dict[tuple[str, str], BuiltFile]:
        """Return what published nights left, by kind and run."""
        rows = self._rows("select kind, run_id, digest, n_rows from built_file")
        return {
            (kind, run_id): BuiltFile(kind, run_id, digest, json.loads(n_rows))
            for kind, run_id, digest, n_rows in rows
        }

    def record_deletions(self, deletions: Iterable[Deletion]) -> None:
        """Count what retention deleted."""
        rows = [
            (_text(d.deleted_at), d.what, d.n_items, d.n_bytes)
            for d in deletions
            if d.n_items
        ]
        if rows:
            with self._transaction() as con:
                con.executemany("insert into deletion values (?, ?, ?, ?)", rows)

    def deletions(self) -> list[Deletion]:
        """List what retention deleted, oldest first."""
        rows = self._rows("select * from deletion order by deleted_at, what")
        return [Deletion(_moment(at), *rest) for at, *rest in rows]

    def delivery_tables(self) -> list[tuple[str, str, str, str]]:
        """List (batch id, source, table, mode) of every table that was delivered."""
        return self._rows(
            "select t.batch_id, d.source, t.table_name, t.mode from delivery_table as t"
            " join delivery as d using (batch_id) order by 1, 3"
        )

    def ledger(self) -> list[tuple[Any, ...]]:
        """List the row ledger in the columns of ``ops.row_ledger``, with encoding."""
        return self._rows(
            "select batch_id, source, file, table_name, rows_in, rows_loaded,"
            " rows_quarantined, rows_filtered, rows_footer, rows_blank, encoding"
            " from row_ledger order by 1, 3, 4"
        )

    def refusals(self, batch_ids: Iterable[str] | None = None) -> list[sqlite3.Row]:
        """List what is in quarantine, all of it or that of some deliveries."""
        return self._of_batches("refusal", batch_ids)

    def notices(self, batch_ids: Iterable[str] | None = None) -> list[sqlite3.Row]:
        """List what was seen and loaded all the same."""
        return self._of_batches("notice", batch_ids)

    def _of_batches(
        self, table: str, batch_ids: Iterable[str] | None
    ) -> list[sqlite3.Row]:
        wanted = None if batch_ids is None else set(batch_ids)
        with self._connect() as con:
            rows = con.execute(
                f"select * from {table} order by batch_id, file, table_name,"
                " column_name, reason"
            ).fetchall()
        return [row for row in rows if wanted is None or row["batch_id"] in wanted]

    # --- runs -----------------------------------------------------------------------

    def start_run(self, run: Run) -> None:
        """Begin a run; an earlier one that never ended was interrupted."""
        with self._transaction() as con:
            con.execute(
                "update run set outcome = 'interrupted', ended_at = ?"
                " where ended_at is null",
                (_text(run.started_at),),
            )
            con.execute(
                "insert into run (run_id, as_of, known_on, started_at, ended_at,"
                " outcome, settings_digest, audit_head, candidate_mark, is_past)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.run_id,
                    run.as_of.isoformat(),
                    run.known_on.isoformat() if run.known_on else None,
                    _text(run.started_at),
                    _text(run.ended_at) if run.ended_at else None,
                    run.outcome,
                    run.settings_digest,
                    run.audit_head,
                    run.candidate_mark,
                    int(run.is_past),
                ),
            )

    def set_run(
        self,
        run_id: str,
        outcome: str,
        *,
        ended_at: datetime | None = None,
        candidate_mark: str | None = None,
        inputs: str | None = None,
    ) -> None:
        """Move a run on."""
        with self._transaction() as con:
            con.execute(
                "update run set outcome = ?, ended_at = coalesce(?, ended_at),"
                " candidate_mark = coalesce(?, candidate_mark),"
                " inputs = coalesce(?, inputs) where run_id = ?",
                (
                    outcome,
                    _text(ended_at) if ended_at else None,
                    candidate_mark,
                    inputs,
                    run_id,
                ),
            )

    def runs(self) -> list[Run]:
        """List all runs, oldest first."""
        with self._connect() as con:
            rows = con.execute("select * from run order by started_at, run_id")
            return [_run(row) for row in rows.fetchall()]

    def nights(self) -> list[Run]:
        """List the runs that are of the snapshot people read, oldest first."""
        return [run for run in self.runs() if not run.is_past]

    def run(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            RapportError: there is no such run.
        """
        for run in self.runs():
            if run.run_id == run_id:
                return run
        raise RapportError(
            f"no run {run_id} in the control state", reason="run_unknown"
        )

    def record_checks(self, run_id: str, checks: Sequence[CheckResult]) -> None:
        """Write the checks of one run, in place of what an earlier try wrote."""
        with self._transaction() as con:
            con.execute("delete from check_result where run_id = ?", (run_id,))
            con.executemany(
                "insert into check_result values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(run_id, place, *astuple(c)) for place, c in enumerate(checks)],
            )

    def checks(self, run_id: str | None = None) -> list[tuple[Any, ...]]:
        """List check results: run, layer, table, check, severity, status, passed, …"""
        where = "" if run_id is None else " where run_id = ?"
        return self._rows(
            "select run_id, layer, table_name, check_name, severity, status, passed,"
            f" observed, expected from check_result{where} order by run_id, position",
            () if run_id is None else (run_id,),
        )

    def record_findings(
        self,
        run_id: str,
        findings: Mapping[str, Sequence[CheckFinding]],
        waived: Mapping[str, date],
    ) -> None:
        """Write where checks did not hold and which were waived, in place of before."""
        with self._transaction() as con:
            for table in ("check_finding", "check_waived"):
                con.execute(f"delete from {table} where run_id = ?", (run_id,))
            con.executemany(
                "insert into check_finding values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (run_id, name, place, *astuple(finding))
                    for name, of_check in findings.items()
                    for place, finding in enumerate(of_check)
                ],
            )
            con.executemany(
                "insert into check_waived values (?, ?, ?)",
                [(run_id, name, until.isoformat()) for name, until in waived.items()],
            )

    def findings(self, run_id: str) -> dict[str, list[CheckFinding]]:
        """Return, for each check of a run that said where, where it did not hold."""
        found: dict[str, list[CheckFinding]] = {}
        for name, *rest in self._rows(
            "select check_name, source, batch_id, table_name, metric, value, lower, upper"
            " from check_finding where run_id = ? order by check_name, position",
            (run_id,),
        ):
            found.setdefault(name, []).append(CheckFinding(*rest))
        return found

    def waived(self) -> dict[tuple[str, str], date]:
        """Return, by run and check, until when a failed check was waived."""
        return {
            (run_id, name): date.fromisoformat(until)
            for run_id, name, until in self._rows("select * from check_waived")
        }

    def guards(self) -> dict[str, Any]:
        """Return the settings that guard something, as they were last used."""
        return {
            name: json.loads(value)
            for name, value in self._rows("select name, value from guard")
        }

    def remember_guards(self, guards: Mapping[str, Any]) -> None:
        """Write the settings that guard something, for the next night to compare."""
        with self._transaction() as con:
            con.executemany(
                "insert or replace into guard values (?, ?)",
                [(name, json.dumps(value)) for name, value in guards.items()],
            )

    # --- what later nights learn from -----------------------------------------------

    def record_metrics(self, metrics: Iterable[DeliveryMetric]) -> None:
        """Write what was measured of deliveries; what is known already stays."""
        with self._transaction() as con:
            con.executemany(
                "insert or ignore into delivery_metric values (?, ?, ?, ?, ?)",
                [astuple(metric) for metric in metrics],
            )

    def metrics(self) -> list[tuple[str, str, str, float, int]]:
        """List (batch, table, metric, value, rows) of every delivery measured."""
        return self._rows(
            "select batch_id, table_name, metric, value, n_rows from delivery_metric"
            " order by 1, 2, 3"
        )

    # --- what was first seen when ---------------------------------------------------

    def first_seen(self) -> list[tuple[str, str, str]]:
        """List (kind, key, first seen at) of everything ever published."""
        return self._rows(
            "select kind, key, first_seen_at from first_seen order by kind, key"
        )

    def mark_published(
        self,
        run_id: str,
        ended_at: datetime,
        seen: Iterable[tuple[str, str, str]],
        signals: Iterable[tuple[Any, ...]] = (),
    ) -> None:
        """Close a published run and append what it showed for the first time.

        Args:
            run_id: the run.
            ended_at: when it ended.
            seen: (kind, key, first seen at) of the facts that remember their night.
            signals: the run's entries of the signal log, as ``ops.signal_log`` has them.
        """
        with self._transaction() as con:
            con.execute(
                "update run set outcome = 'published', ended_at = ? where run_id = ?",
                (_text(ended_at), run_id),
            )
            con.executemany(
                "insert or ignore into first_seen values (?, ?, ?, ?)",
                [(*row, run_id) for row in seen],
            )
            con.executemany(
                "insert or ignore into signal_log values"
                " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                list(signals),
            )

    def signal_log(self) -> list[tuple[Any, ...]]:
        """List every entry of the signal log, oldest first."""
        return self._rows("select * from signal_log order by run_id, signal_key")

    def erase_signals(self, client_keys: Iterable[str], erased_at: datetime) -> int:
        """Take some people out of the signal log; return how many signals went.

        Only the number stays behind, which the next digest says.
        """
        with self._transaction() as con:
            n_signals = 0
            for key in client_keys:
                where = "from signal_log where client_key = ?"
                n_signals += con.execute(
                    f"select count(distinct signal_key) {where}", (key,)
                ).fetchone()[0]
                con.execute(f"delete {where}", (key,))
            if n_signals:
                con.execute(
                    "insert into signal_erasure values (?, ?)",
                    (_text(erased_at), n_signals),
                )
        return n_signals

    def signal_erasures(self) -> list[tuple[str, int]]:
        """List (when, how many signals) of every erasure."""
        return self._rows("select * from signal_erasure order by erased_at")

    def _rows(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        with self._connect() as con:
            return [tuple(row) for row in con.execute(sql, arguments).fetchall()]


def schema_version(home: Path) -> int:
    """Return the version of a store as it lies there; 0 when there is none."""
    path = store_path(home)
    if not path.exists():
        return 0
    try:
        with open_store(home, path, writes=False) as con:
            return int(con.execute("pragma user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        raise StateDamaged("not readable") from None


def _insert(
    con: sqlite3.Connection,
    table: str,
    batch: str,
    source: str,
    rows: Sequence[LedgerRow] | Sequence[Refusal] | Sequence[Notice],
) -> None:
    if not rows:
        return
    marks = ", ".join("?" * (2 + len(fields(rows[0]))))
    con.executemany(
        f"insert into {table} values ({marks})",
        [(batch, source, *astuple(row)) for row in rows],
    )


def _move_to_filtered(
    con: sqlite3.Connection,
    batch: str,
    row: sqlite3.Row,
    table: str,
    of: Literal["rows_loaded", "rows_quarantined"],
    n_rows: int,
) -> None:
    con.execute(
        f"update row_ledger set {of} = {of} - ?, rows_filtered = rows_filtered + ?"
        " where batch_id = ? and file = ? and table_name = ?",
        (n_rows, n_rows, batch, row["file"], table),
    )
    con.execute(
        "insert into notice values (?, ?, ?, ?, '', 'purged', ?)"
        " on conflict do update set n_rows = n_rows + excluded.n_rows",
        (batch, row["source"], row["file"], table, n_rows),
    )


def _text(moment: datetime) -> str:
    return (
        moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        row["batch_id"],
        row["source"],
        row["digest"],
        row["stat_mark"],
        _moment(row["received_at"]),
        _moment(row["picked_up_at"]),
        row["outcome"],
        row["n_files"],
    )


def _run(row: sqlite3.Row) -> Run:
    return Run(
        row["run_id"],
        date.fromisoformat(row["as_of"]),
        date.fromisoformat(row["known_on"]) if row["known_on"] else None,
        _moment(row["started_at"]),
        _moment(row["ended_at"]) if row["ended_at"] else None,
        row["outcome"],
        row["settings_digest"],
        row["audit_head"],
        row["candidate_mark"],
        row["inputs"],
        bool(row["is_past"]),
    )
