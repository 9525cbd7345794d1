"""One delivery through the door, in one transaction.

read -> map -> check -> write Parquet under a temporary name -> fsync -> rename -> commit
the ledger. The ledger commit is the moment of truth: a bronze file without its ledger
row does not exist, and is written anew by the next try. A retry writes beside what the
ledger names, so that a kill leaves the delivery as it was or as it is corrected.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import duckdb
from duckdb.func import FunctionNullHandling

from rapport.errors import RapportError, shortage
from rapport.files import private_folder, sync
from rapport.ingest.cells import (
    MAX_CODE,
    MAX_ID,
    Cell,
    absent_cell,
    cell_of,
    with_parts,
)
from rapport.ingest.drift import drift_of_header, drift_of_values
from rapport.ingest.fhir.through import Typed, load_fhir
from rapport.ingest.inbox import MANIFEST, Found, file_sha256, is_plain_file
from rapport.ingest.lookup import Lookup, Lookups
from rapport.ingest.raw import FileRefused, RawTable, is_header
from rapport.ingest.readers import (
    DeliveryFiles,
    Listing,
    Source,
    can_read,
    choose_parts,
    sweep_temporary,
)
from rapport.ingest.reasons import REASONS
from rapport.ingest.shape import Shape, excuse_deletions
from rapport.ingest.spelling import literal
from rapport.ingest.translate import OTHER_SOURCE_MARK, CodeLists, Translator
from rapport.mapping import (
    BY_NAME,
    FileMapping,
    Mapping,
    Table,
    load_mapping,
    read_own_instruments,
)
from rapport.mapping.vendor import KnownHeaders, known_to
from rapport.privacy import KeyRing, Vault
from rapport.privacy.at_rest import copy_sealed
from rapport.privacy.tombstones import read_tombstones
from rapport.settings import Settings
from rapport.state import ControlState, Delivery, LedgerRow, Notice, Refusal
from rapport.warehouse.connections import parquet_encryption, quoted, scratch

_SMALL_BYTES = 8 << 20
_BITS = 63
_PLAIN_ID = "[!-~]([ -~]*[!-~])?"
DeliveryOutcome: TypeAlias = Literal["loaded", "partly_loaded", "refused"]


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery: counts only."""

    batch_id: str
    source: str
    outcome: str
    rows_in: int
    rows_loaded: int
    rows_quarantined: int
    rows_filtered: int
    rows_footer: int
    rows_blank: int
    n_refusals: int


@dataclass
class _Account:
    """What one delivery has come to so far.

    Attributes:
        files: opaque name -> true name, for the vault.
        tables: tables that it brought.
        partial: tables of which something was refused.
        bronze: (table, path below bronze/, rows) of each file written.
        columns: (table, pattern of the mapping) -> the known columns in their order.
        hides_tables: a refused archive may have held any table.
    """

    ledger: list[LedgerRow] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    bronze: list[tuple[str, str, int, str]] = field(default_factory=list)
    columns: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    hides_tables: bool = False


class Door:
    """The door of one RAPPORT_HOME: what every delivery needs, opened once.

    Used as a context manager: it lends the scratch database that deliveries share, one
    after the other.
    """

    def __init__(self, settings: Settings, keys: KeyRing) -> None:
        self.settings = settings
        self.home = settings.home
        self.keys = keys
        self.vault = Vault(self.home)
        self.encryption = parquet_encryption(settings.security.encrypt_at_rest)
        self.tombstones = read_tombstones(self.home)
        seeds = settings.project_root / "dbt_project" / "seeds"
        own = read_own_instruments(settings.home / "instruments", seeds)
        self.codes = CodeLists(seeds, own)
        self.translator = Translator(keys, self.codes)
        self._open = ExitStack()
        # Told of every table of a file that is read: its opaque name, how it is shaped.
        self.on_shape: Callable[[str, Shape], None] = lambda name, shape: None

    def __enter__(self) -> Self:
        sweep_temporary(self.settings)
        self.con = self._open.enter_context(scratch(self.settings))
        for function, n_arguments in (
            (self.translator.value_of, 3),
            (self.translator.token_of, 2),
        ):
            self.con.create_function(
                function.__name__,
                function,
                ["VARCHAR"] * n_arguments,
                "VARCHAR",
                null_handling=FunctionNullHandling.SPECIAL,
            )
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def count_erased(
        self, found: Found, state: ControlState, aside: Path
    ) -> dict[str, tuple[int, int]]:
        """Read a delivery as at the door, and keep nothing of it.

        Args:
            found: the delivery.
            state: the control store.
            aside: an empty private folder; what is refused goes there.

        Returns:
            For each table, its rows, and those among them that are of erased people.
        """
        mapping = load_mapping(self.home, found.source, self.codes.spellings)
        if mapping is None:
            return {}
        batch = self.keys.batch_id(found.source, found.delivery_id)
        account = _Account()
        with closing(self.con.cursor()) as con:
            _Loading(self, con, found, batch, mapping, account, state, {}, aside).read()
        counts: dict[str, tuple[int, int]] = {}
        for row in account.ledger:
            n_rows, n_erased = counts.get(row.table_name, (0, 0))
            counts[row.table_name] = (n_rows + row.rows_in, n_erased)
        for notice in account.notices:
            if notice.reason == "purged":
                n_rows, n_erased = counts.get(notice.table_name, (0, 0))
                counts[notice.table_name] = (n_rows, n_erased + notice.n_rows)
        return counts

    def load(
        self, found: Found, state: ControlState, *, replaces: Delivery | None = None
    ) -> Outcome:
        """Load one complete delivery.

        Rows that can't stand are quarantined with their reason; nothing else is lost.

        Args:
            found: the delivery.
            state: the control store.
            replaces: what the ledger knows of it, when a person has it read again; else
                the ledger does not know it.

        Raises:
            DiskFull, MemoryLimitReached: no room; nothing of it is kept and the next try repeats it.
            MappingError: the source's mapping is not valid.
        """
        batch = self.keys.batch_id(found.source, found.delivery_id)
        stat_mark, digest = found.stat_mark(), found.digest()
        manifest = _manifest(found.folder)
        account = _Account()
        mapping = load_mapping(self.home, found.source, self.codes.spellings)
        before = state.bronze_of(batch) if replaces else {}
        quarantine = _Quarantine(self.home, found.source, batch)
        quarantine.recover(replaces)
        now = datetime.now(UTC)
        try:
            if mapping is None:
                account.refusals.append(
                    Refusal("delivery", "", "", "source_unmapped", 0, None)
                )
            else:
                with closing(self.con.cursor()) as con:
                    _Loading(
                        self, con, found, batch, mapping, account, state, before,
                        quarantine.folder_for(now, replaces),
                    ).run()  # fmt: skip
        except (OSError, duckdb.Error) as error:
            short = shortage(error, f"loading delivery {batch}", again="rapport ingest")
            if short:
                raise short from None
            raise
        _check_reasons(account)
        self.vault.name_delivery(batch, found.source, found.delivery_id, account.files)
        quarantined = sum(row.rows_quarantined for row in account.ledger)
        outcome: DeliveryOutcome = "loaded"
        if account.refusals or quarantined:
            outcome = "partly_loaded" if account.bronze else "refused"
        state.commit_delivery(
            Delivery(
                batch,
                found.source,
                digest,
                stat_mark,
                _received_at(manifest, replaces, digest, now),
                now,
                outcome,
                len(account.files),
            ),
            modes={
                table: _mode(manifest, account, table, mapping)
                for table in account.tables
            },
            bronze=account.bronze,
            ledger=account.ledger,
            refusals=account.refusals,
            notices=account.notices,
            columns=account.columns,
            replace=replaces is not None,
        )
        if replaces:
            quarantine.settle(now)
            written = {path for _, path, *_ in account.bronze}
            for path in set(before.values()) - written:
                (self.home / "bronze" / path).unlink(missing_ok=True)
        return Outcome(
            batch,
            found.source,
            outcome,
            sum(row.rows_in for row in account.ledger),
            sum(row.rows_loaded for row in account.ledger),
            quarantined,
            sum(row.rows_filtered for row in account.ledger),
            sum(row.rows_footer for row in account.ledger),
            sum(row.rows_blank for row in account.ledger),
            len(account.refusals),
        )


@dataclass(frozen=True)
class Manifest:
    """What is read of a delivery's ``manifest.json``; other keys are kept nowhere."""

    received_at: datetime | None
    modes: dict[str, str]
    is_readable: bool


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.exists():
        return Manifest(None, {}, True)
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        tables = said.get("tables", {})
        modes = {
            table: about["mode"]
            for table, about in tables.items()
            if table in BY_NAME and about.get("mode") in ("snapshot", "delta")
        }
        text = said.get("received_at")
        received = datetime.fromisoformat(text) if text else None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return Manifest(None, {}, False)
    if received is not None and received.tzinfo is None:
        received = received.replace(tzinfo=UTC)
    return Manifest(received, modes, True)


def _received_at(
    manifest: Manifest, replaces: Delivery | None, digest: str, now: datetime
) -> datetime:
    """Say when the delivery was received; a retry must not move what was known when.

    Rows that were loaded stay known since they were; other bytes of a delivery of which
    nothing was loaded are received when they are read.
    """
    if replaces and (replaces.digest == digest or replaces.outcome != "refused"):
        return replaces.received_at
    return manifest.received_at or now


def _check_reasons(account: _Account) -> None:
    """Hold every reason against the registry that a person reads of it in."""
    said = {refusal.reason for refusal in account.refusals}
    said |= {notice.reason for notice in account.notices}
    for reason in sorted(said - set(REASONS)):
        raise RapportError(
            f"reason {reason} is not in the registry", reason="reason_unknown"
        )


class _Quarantine:
    """Where the refused rows and files of one delivery lie.

    A retry writes into a folder of its own, named after its moment; it takes the old
    one's place once the ledger has committed, or at the next retry after a kill.
    """

    def __init__(self, home: Path, source: str, batch: str) -> None:
        self.folder = home / "quarantine" / source / batch

    def folder_for(self, now: datetime, replaces: Delivery | None) -> Path:
        """Return where this try may write."""
        return self._beside(now) if replaces else self.folder

    def recover(self, known: Delivery | None) -> None:
        """Finish or discard what an interrupted try left."""
        if known is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        committed = self._beside(known.picked_up_at)
        if committed.exists():
            self.settle(known.picked_up_at)
        for left in self.folder.parent.glob(f"{self.folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)

    def settle(self, moment: datetime) -> None:
        """Put what a retry wrote in the place of what was there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        beside = self._beside(moment)
        if beside.exists():
            os.replace(beside, self.folder)

    def _beside(self, moment: datetime) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{moment:%Y%m%d%H%M%S%f}")


def _mode(
    manifest: Manifest, account: _Account, table: str, mapping: Mapping | None
) -> str:
    """Return how a table of a delivery is taken: as the manifest says, else the mapping.

    A snapshot with refused rows deletes nothing: what it lacks may be among them.
    """
    default = mapping.mode_of(table) if mapping else "delta"
    is_partial = table in account.partial or account.hides_tables
    return "delta" if is_partial else manifest.modes.get(table, default)


class _Loading:
    """The work on one delivery, over a connection of its own to the scratch database."""

    def __init__(
        self,
        door: Door,
        con: duckdb.DuckDBPyConnection,
        found: Found,
        batch: str,
        mapping: Mapping,
        account: _Account,
        state: ControlState,
        before: dict[str, str],
        quarantine: Path,
    ) -> None:
        self.door, self.con = door, con
        self.found, self.batch = found, batch
        self.mapping, self.account = mapping, account
        self.state, self.before = state, before
        self.quarantine = quarantine
        self.loaded_tables: dict[str, int] = {}
        # Loaded tables whose rows hold the numbers of spellings beside the keys.
        self.numbered: set[str] = set()

    def run(self) -> None:
        self._sweep()
        self.read()
        self._refuse_merge_cycles()
        if self._is_too_bad():
            return
        self._count_duplicates()
        self._remember()
        self._write_bronze()

    def read(self) -> None:
        """Read and type every file; nothing is kept yet but what is refused."""
        if not _manifest(self.found.folder).is_readable:
            self.account.refusals.append(
                Refusal("manifest", "", "", "manifest_unreadable", 0, None)
            )
        # One thread for a small delivery: handing work around would cost more.
        n_bytes = sum(member.lstat().st_size for member in self.found.members())
        self.is_small = n_bytes < _SMALL_BYTES
        n_threads = 1 if self.is_small else self.door.settings.warehouse.threads
        self.con.execute(f"set threads = {n_threads}")
        self.con.execute("create or replace temp sequence spelling_no")
        self.con.execute(
            "create temp table spelling (no integer default nextval('spelling_no'),"
            " kind varchar, text varchar, value varchar, token varchar)"
        )
        self.seen_before = self.state.columns_before(self.found.source, self.batch)
        with DeliveryFiles(self.con, self.door.settings, self.found) as self.files:
            listing = self.files.list_sources(self.mapping)
            self.lookups = Lookups(self.con, listing.sources, self._read_joined)
            self._fhir(listing)
            self._account_for_others(listing)
            for source, parts in self._chosen(listing):
                self._source(source, parts)
        self._leave_out_late_items()

    def _sweep(self) -> None:
        """Remove what an interrupted try of this delivery left behind."""
        bronze = self.door.home / "bronze" / self.found.source
        kept = set(self.before.values())
        for left in bronze.glob(f"*/{self.batch}.*"):
            if left.relative_to(self.door.home / "bronze").as_posix() not in kept:
                left.unlink()

    # --- FHIR: members that are read together (ingest/fhir/) ------------------------

    def _fhir(self, listing: Listing) -> None:
        """Load the FHIR members, and take them off the list."""
        mapping = self.mapping
        members = [
            s
            for s in listing.sources
            if s.sheet is None and any(mapping.is_fhir(name) for name in s.names)
        ]
        if not members or mapping.fhir is None:
            return
        listing.sources = [s for s in listing.sources if s not in members]
        said = load_fhir(
            Typed(
                self.con,
                self.found.source,
                self.batch,
                self.quarantine,
                self.door.encryption,
                self._type_fhir,
                self._refuse,
            ),
            members,
            mapping.fhir,
            self.door.translator.codes,
            received_at=_manifest(self.found.folder).received_at,
            folder=self.files.folder,
        )
        self.account.ledger += said.ledger
        self.account.refusals += said.refusals
        self.account.notices += said.notices
        self.account.files |= said.files
        self.account.partial |= said.partial
        self.account.tables |= {row.table_name for row in said.ledger} & BY_NAME.keys()
        for table in said.loaded:
            self.loaded_tables.setdefault(table, 0)

    def _type_fhir(self, name: str, table: str, headers: tuple[str, ...]) -> None:
        """Type the rows of one table; they are counted member by member elsewhere."""
        account = self.account
        ledger, refusals = list(account.ledger), list(account.refusals)
        part = FileMapping(match="*", table=table)
        raw = RawTable("", headers, "utf-8")
        shape = self._shape(part, raw, {})
        self._sort_rows(name, 0, BY_NAME[table], part, shape, raw)
        account.ledger, account.refusals = ledger, refusals
        (self.quarantine / f"{name}.rows.parquet").unlink(missing_ok=True)

    # --- what the delivery holds ----------------------------------------------------

    def _account_for_others(self, listing: Listing) -> None:
        """Count what holds no table: ignored, junk, refused before it was read."""
        for number, name in listing.ignored:
            self.account.files[f"file-{number}"] = name
            self._notice(f"file-{number}", "", "", "file_ignored")
        for number, reason, n in listing.noticed:
            name = f"file-{number}" if number else "delivery"
            self._notice(name, "", "", reason, n)
        n_sources = {s.delivered: 0 for s in listing.sources}
        for source in listing.sources:
            n_sources[source.delivered] += 1
        for bad in listing.refused:
            parts = [p for name in bad.names for p in self.mapping.of_file(name)]
            is_member = bad.delivered in n_sources
            if is_member and not parts:
                # A member that the mapping has no word for, and that is no table.
                self.account.files[f"file-{bad.number}"] = bad.true_name
                self._notice(f"file-{bad.number}", "", "", "member_dropped")
                continue
            table = parts[0].table if parts else ""
            self.account.hides_tables |= bad.refused.reason.startswith("archive_")
            self._refuse(
                f"{table or 'file'}-{bad.number}",
                table,
                bad.delivered,
                bad.true_name,
                bad.refused,
            )

    def _chosen(self, listing: Listing) -> list[tuple[Source, list[FileMapping]]]:
        """Return what is read, with the mapping's parts for it; count the rest."""
        chosen = choose_parts(self.mapping, listing.sources)
        known_files = {s.delivered for s in listing.sources if chosen[s.number]}
        wanted, refused_files = [], set()
        for source in listing.sources:
            parts = chosen[source.number]
            name = f"file-{source.number}"
            is_filled = any(s.is_filled for s in listing.beside(source))
            if parts and not source.is_filled and is_filled:
                self.account.files[name] = source.true_name
                self._notice(name, "", "", "sheet_empty")
            elif parts:
                wanted.append((source, parts))
            elif any(self.mapping.is_joined(name) for name in source.names):
                self._count_joined(source)
            elif source.delivered in known_files:
                self.account.files[name] = source.true_name
                reason = "sheet_dropped" if source.sheet else "member_dropped"
                if source.sheet and not source.sheet.is_visible:
                    reason = "sheet_hidden"
                self._notice(name, "", "", reason)
            elif source.delivered not in refused_files:
                refused_files.add(source.delivered)
                self._refuse(
                    name, "", source.delivered, source.true_name,
                    FileRefused("file_unknown"),
                )  # fmt: skip
        return wanted

    def _notice(
        self, file: str, table: str, column: str, reason: str, n_rows: int = 0
    ) -> None:
        self.account.notices.append(Notice(file, table, column, reason, n_rows))

    def _refuse(
        self, name: str, table: str, path: Path, true_name: str, refused: FileRefused
    ) -> None:
        """Put a whole file, or what it holds for one table, into quarantine."""
        n_rows = refused.n_rows
        self.account.files[name] = true_name
        self.account.ledger.append(
            LedgerRow(name, table or "none", None, n_rows, 0, n_rows, 0, 0, 0)
        )
        self.account.refusals.append(
            Refusal(name, table, refused.column, refused.reason, n_rows, None)
        )
        self.account.partial.add(table)
        self._keep_refused(name, path)

    def _keep_refused(self, name: str, path: Path) -> None:
        private_folder(self.quarantine)
        if is_plain_file(path):
            kept = self.quarantine / f"{name}.refused"
            copy_sealed(self.door.home, path, kept)

    # --- one file, or one sheet -----------------------------------------------------

    def _source(self, source: Source, parts: list[FileMapping]) -> None:
        known = known_to(parts)
        for part in parts:
            name = f"{part.table}-{source.number}"
            self.account.files[name] = source.true_name
            try:
                if not can_read(part, source):
                    raise FileRefused("format_unexpected")
                self._table(name, source, part, known)
            except FileRefused as refused:
                self._refuse(
                    name, part.table, source.delivered, source.true_name, refused
                )

    def _table(
        self, name: str, source: Source, part: FileMapping, known: KnownHeaders
    ) -> None:
        table = BY_NAME[part.table]
        looked_up = {join.name: self.lookups.of(join, part) for join in part.join}
        raw = self.files.read(source, part, known)
        if self.files.n_damaged:
            self._notice(
                name, table.name, "", "characters_lost_before", self.files.n_damaged
            )
        if not is_header(raw.headers, known):
            raise FileRefused("header_unrecognised", self._n_raw_rows())
        shape = self._shape(part, raw, looked_up)
        missing = shape.missing()
        if missing and part.is_optional:
            self._notice(name, table.name, missing[0], "table_absent")
            return
        self.door.on_shape(name, shape)
        seen = self.seen_before.get((table.name, part.match))
        drift, columns = drift_of_header(
            name, part, raw.headers, seen, shape.used_headers(), known
        )
        self.account.notices += drift
        if missing:
            raise FileRefused("required_column_missing", self._n_raw_rows(), missing[0])
        for join, found in looked_up.items():
            if found is not None and found.n_several:
                self._notice(name, table.name, join, "join_ambiguous", found.n_several)
        for conflict in shape.conflicts(self.con):
            self._notice(
                name,
                table.name,
                conflict.column,
                "date_order_conflict",
                conflict.n_rows,
            )
        self.account.tables.add(table.name)
        self.account.columns[table.name, part.match] = columns
        self._sort_rows(name, source.number, table, part, shape, raw)

    def _shape(
        self, part: FileMapping, raw: RawTable, looked_up: dict[str, Lookup | None]
    ) -> Shape:
        try:
            return Shape(
                part,
                raw.headers,
                looked_up,
                self.door.codes.items_of,
                has_blanks=raw.has_blanks,
            )
        except FileRefused as refused:
            raise FileRefused(
                refused.reason, self._n_raw_rows(), refused.column
            ) from None

    def _read_joined(self, source: Source, part: FileMapping) -> tuple[str, ...] | None:
        """Read what rows are looked up in; its own entry says how it is written."""
        own = [p for name in source.names for p in self.mapping.of_file(name)]
        how = own[0] if own else part
        join = [j.on.values() for j in part.join]
        known = known_to([*own, part], [header for on in join for header in on])
        try:
            return self.files.read(source, how, known).headers
        except FileRefused:
            return None

    def _count_joined(self, source: Source) -> None:
        """Count the rows of a file that only feeds joins: known, and no rows of a table."""
        name = f"file-{source.number}"
        self.account.files[name] = source.true_name
        joins = self.mapping.joins_of(source.names)
        headers = [header for join in joins for header in join.on.values()]
        part = FileMapping(match="*", table="clients")
        try:
            raw = self.files.read(source, part, known_to([part], headers))
        except FileRefused as refused:
            self._refuse(name, "", source.delivered, source.true_name, refused)
            return
        n_rows = self._n_raw_rows()
        n_blank = self._one("select count(*) from blank_line")
        n_in = n_rows + n_blank + raw.n_title_rows
        self.account.ledger.append(
            LedgerRow(
                name,
                "none",
                raw.encoding,
                n_in,
                0,
                0,
                n_rows,
                raw.n_title_rows,
                n_blank,
            )
        )
        self._notice(name, "", "", "file_joined", n_rows)

    def _n_raw_rows(self) -> int:
        return self._one(
            "select (select count(*) from raw) + (select count(*) from unreadable)"
        )

    def _sort_rows(
        self,
        name: str,
        number: int,
        table: Table,
        part: FileMapping,
        shape: Shape,
        raw: RawTable,
    ) -> None:
        """Tell blank, filtered, bad and good rows apart; keep the good ones typed."""
        con = self.con
        con.execute("drop table if exists typed")
        here = shape.create_cells(con)
        cells = {
            column.name: cell_of(column, f"cell.{column.name}", f"s_{column.name}")
            if column.name in here
            else absent_cell(column)
            for column in table.columns
        }
        excuse_deletions(table, cells)
        self._translate(cells)
        typed, joins = _typed_select(cells, [] if self.is_small else _numbers(table))
        con.execute(
            f"create temp table typed as select {number}::integer as file_no, {typed}"
            f" from {with_parts(cells.values())} as cell {joins}"
        )
        self._self_merges(table)
        n_erased = self._leave_out_erased(table)
        counts = self._counts(cells)
        n_bad = counts["bad"] + counts["unreadable"]
        n_blank = counts["blank"] + counts["blank_line"]
        n_footer = counts["footer"] + raw.n_title_rows
        row = LedgerRow(
            name,
            table.name,
            raw.encoding,
            counts["row"]
            + counts["unreadable"]
            + counts["filtered"]
            + n_footer
            + n_blank,
            counts["row"] - counts["bad"] - n_erased,
            n_bad,
            counts["filtered"] + n_erased,
            n_footer,
            n_blank,
        )
        if counts["filtered"]:
            self._name_filters(name, table)
        if n_erased:
            self._notice(name, table.name, "", "purged", n_erased)
        self._quarantine_rows(name, table, n_bad, counts["unreadable"])
        self._notices(name, table, cells, counts)
        if part.max_bad_share is not None and _bad_share([row]) > part.max_bad_share:
            self.account.refusals.append(
                Refusal(
                    name, table.name, "", "bad_share_exceeded", row.rows_loaded, None
                )
            )
            self.account.ledger.append(_moved_to_quarantine(row, row.rows_loaded))
            self.account.partial.add(table.name)
            return
        self.account.ledger.append(row)
        outputs = [output for cell in cells.values() for output in cell.outputs]
        self._keep(table, outputs, number)

    def _leave_out_erased(self, table: Table) -> int:
        """Take the rows of erased people out of ``typed``; return how many went.

        Their numbers stand in ``erased_row`` afterwards. An item names no client: it goes
        with an erased administration, and with one of a client whose forms just went.
        """
        con = self.con
        con.execute("create or replace temp table erased_row (row_no bigint)")
        if not self.door.tombstones:
            return 0
        con.execute("create temp table if not exists erased (key varchar)")
        asked = {column.of for column in table.columns if column.kind == "id"}
        for entity in sorted(asked & {"client", "administration"}):
            con.execute(
                "create or replace temp table asked as select distinct text, value"
                " from spelling where kind = ? and value not in (select key from erased)",
                [f"id:{entity}"],
            )
            found = [
                [key]
                for text, key in con.execute("from asked").fetchall()
                if self._is_erased(entity, text)
            ]
            if found:
                con.executemany("insert into erased values (?)", found)
        keys = [
            column.key_name
            for column in table.columns
            if column.kind == "id" and column.of in ("client", "administration")
        ]
        if not keys:
            return 0
        theirs = " or ".join(f"{key} in (select key from erased)" for key in keys)
        con.execute(f"insert into erased_row select row_no from typed where {theirs}")
        if table.name == "measures":
            con.execute(
                "insert into erased select administration_key from typed"
                " where row_no in (select row_no from erased_row)"
                " and administration_key is not null"
            )
        con.execute("delete from typed where row_no in (select row_no from erased_row)")
        return self._one("select count(*) from erased_row")

    def _is_erased(self, entity: str, text: str) -> bool:
        """Hold one id against the marks of erased people."""
        said, _, id_ = text.rpartition(OTHER_SOURCE_MARK)
        source, keys = said or self.found.source, self.door.keys
        marks = (
            keys.tombstones(source, id_)
            if entity == "client"
            else map(keys.tombstone_of_key, keys.keys_through(entity, source, id_))
        )
        return not self.door.tombstones.isdisjoint(marks)

    def _leave_out_late_items(self) -> None:
        """Take out the items of erased forms that were read before their forms."""
        if not self.door.tombstones or "measure_items" not in self.loaded_tables:
            return
        theirs = "administration_key in (select key from erased)"
        for number, n_rows in self.con.execute(
            f"select file_no, count(*) from loaded_measure_items where {theirs} group by 1"
        ).fetchall():
            name = f"measure_items-{number}"
            self._notice(name, "measure_items", "", "purged", n_rows)
            self.account.ledger = [
                _moved_to_filtered(row, n_rows) if row.file == name else row
                for row in self.account.ledger
            ]
        self.con.execute(f"delete from loaded_measure_items where {theirs}")

    def _name_filters(self, name: str, table: Table) -> None:
        """Count the rows that each rule left out, under the rule's name."""
        found = self.con.execute(
            "select rule, count(*) from cell where kind = 'filtered' group by rule"
            " order by rule"
        ).fetchall()
        for rule, n in found:
            self._notice(name, table.name, rule, "row_filtered", n)

    def _counts(self, cells: dict[str, Cell]) -> dict[str, int]:
        """Count, in one question, the rows of each kind and the notices."""
        names = [
            "bad",
            "unreadable",
            "blank_line",
            "blank",
            "filtered",
            "footer",
            "row",
        ]
        n_notices = len(_notice_conditions(cells))
        names += [f"n{n}" for n in range(n_notices)]
        notices = "".join(
            f", count(*) filter (where len(bad) = 0 and n{n})" for n in range(n_notices)
        )
        kinds = "".join(
            f", count(*) filter (where kind = '{kind}')" for kind in names[3:7]
        )
        found = self.con.execute(
            f"""
            select t.* exclude (notices), u.*, b.*, k.*, t.notices from
                (select count(*) filter (where len(bad) > 0) as n_bad,
                    [0{notices}] as notices from typed) as t,
                (select count(*) from unreadable) as u,
                (select count(*) from blank_line) as b,
                (select {kinds.removeprefix(", ")} from cell) as k
            """
        ).fetchone()
        assert found is not None
        *counts, listed = found
        return dict(zip(names, [*counts, *listed[1:]], strict=True))

    def _translate(self, cells: dict[str, Cell]) -> None:
        """Look every distinct spelling of the file up once.

        One that is too long makes a bad row: the vault is not told of it.
        """
        texts: dict[str, list[str]] = {}
        for cell in cells.values():
            if cell.spelled:
                kind, text = cell.spelled
                texts.setdefault(kind, []).append(text)
        source = literal(self.found.source)
        found = " union all ".join(
            self._new_spellings(kind, columns) for kind, columns in texts.items()
        )
        self.con.execute(
            f"""
            insert into spelling (kind, text, value, token)
            select kind, text, value_of(kind, {source}, text),
                case when not starts_with(kind, 'id:') then token_of(kind, text) end
            from ({found})
            """
        )

    def _new_spellings(self, kind: str, texts: list[str]) -> str:
        """Return SQL of the (kind, text) that are still to be translated one by one."""
        what, _, entity = kind.partition(":")
        longest = {"id": MAX_ID, "diagnosis_codes": 4 * MAX_CODE}.get(what, MAX_CODE)
        union = " union all ".join(
            f"select {text} as text from cell where kind = 'row'" for text in texts
        )
        found = f"""
            select '{kind}' as kind, text from (select distinct text from ({union})) as f
            where length(text) <= {longest} and not exists (
                select 1 from spelling as s where s.kind = '{kind}' and s.text = f.text
            )
            """
        if what != "id" or self.is_small or self.door.keys.is_chained:
            return found
        # Millions of ids are keyed by the engine; what is no plain text is left over.
        spelled = f"spelled_{entity}"
        self.con.execute(
            f"create or replace temp table {spelled} as select *,"
            f" regexp_full_match(text, '{_PLAIN_ID}') as is_plain from ({found})"
        )
        digest, key, pads = self.door.keys.row_key_sql(
            literal(entity), literal(self.found.source), "text"
        )
        self.con.execute(
            f"""
            insert into spelling (kind, text, value)
            select kind, text, {key}
            from (select *, {digest} as digest from {spelled} where is_plain)
            """,
            pads,
        )
        return f"select kind, text from {spelled} where not is_plain"

    def _self_merges(self, table: Table) -> None:
        if table.name == "client_merges":
            self.con.execute(
                "update typed set bad = list_append(bad, 'new_client_id:merge_to_itself')"
                " where old_client_key = new_client_key"
            )

    def _quarantine_rows(
        self, name: str, table: Table, n_bad: int, n_unreadable: int
    ) -> None:
        """Write the bad rows whole, with their reasons."""
        con = self.con
        if n_bad == 0:
            return
        self.account.partial.add(table.name)
        private_folder(self.quarantine)
        found = con.execute(
            """
            select column_name, reason, count(*), min(row_no) from (
                select
                    row_no,
                    split_part(unnest(bad), ':', 1) as column_name,
                    split_part(unnest(bad), ':', 2) as reason
                from typed where len(bad) > 0
                union all
                select row_no, '', reason from unreadable
            ) group by all order by all
            """
        ).fetchall()
        self.account.refusals += [
            Refusal(name, table.name, column, reason, n, first)
            for column, reason, n, first in found
        ]
        con.execute(
            "copy (select raw.*, bad.reasons from raw join (select row_no,"
            " list_sort(list_distinct(flatten(list(bad)))) as reasons from typed"
            " where len(bad) > 0 group by row_no) as bad using (row_no) order by row_no) to"
            f" '{quoted(self.quarantine / f'{name}.rows.parquet')}'"
            f" (format parquet{self.door.encryption})"
        )
        if n_unreadable:
            con.execute(
                "copy (select * from unreadable order by row_no) to"
                f" '{quoted(self.quarantine / f'{name}.unreadable.parquet')}'"
                f" (format parquet{self.door.encryption})"
            )

    def _notices(
        self,
        name: str,
        table: Table,
        cells: dict[str, Cell],
        counts: dict[str, int],
    ) -> None:
        for n, (column, reason) in enumerate(_notice_conditions(cells)):
            if counts[f"n{n}"]:
                self._notice(name, table.name, column, reason, counts[f"n{n}"])
        wrong = {n.column_name for n in self.account.notices if n.file == name}
        wrong |= {r.column_name for r in self.account.refusals if r.file == name}
        self.account.notices += drift_of_values(
            self.con,
            name,
            table,
            {column: cells[column] for column in wrong & set(cells)},
        )

    def _keep(
        self, table: Table, outputs: list[tuple[str, str, str]], number: int
    ) -> None:
        columns = [column for column, _, _ in outputs]
        if table.name in self.loaded_tables:
            columns += _numbers(table) if table.name in self.numbered else []
            names = ", ".join((*columns, "file_no", "row_no"))
            self.con.execute(
                f"insert into loaded_{table.name} ({names})"
                f" select {names} from typed where len(bad) = 0"
            )
            return
        self.loaded_tables[table.name] = number
        if self.is_small:
            names = ", ".join((*columns, "file_no", "row_no"))
            self.con.execute(
                f"create temp table loaded_{table.name} as"
                f" select {names} from typed where len(bad) = 0"
            )
            return
        self.numbered.add(table.name)
        if number:
            # Millions of rows are not copied once more.
            self.con.execute("delete from typed where len(bad) > 0")
            self.con.execute(f"alter table typed rename to loaded_{table.name}")
        else:
            self.con.execute(
                f"create temp table loaded_{table.name} as"
                " select * from typed where len(bad) = 0"
            )

    # --- the delivery as a whole ----------------------------------------------------

    def _is_too_bad(self) -> bool:
        """Refuse the delivery whole when more of it is bad than is set; nothing stays."""
        if _bad_share(self.account.ledger) <= self.door.settings.inbox.max_bad_share:
            return False
        account = self.account
        n_rows = sum(row.rows_loaded for row in account.ledger)
        account.refusals.append(
            Refusal("delivery", "", "", "bad_share_exceeded", n_rows, None)
        )
        account.ledger = [
            _moved_to_quarantine(row, row.rows_loaded) for row in account.ledger
        ]
        account.tables.clear()
        for number, path in enumerate(self.found.members(), start=1):
            self._keep_refused(f"delivery-{number}", path)
        return True

    def _refuse_merge_cycles(self) -> None:
        """Quarantine merges that lead back to where they began, within this delivery."""
        if "client_merges" not in self.loaded_tables:
            return
        con = self.con
        con.execute(
            """
            create temp table cyclic as
            with recursive reach as (
                select old_client_key as began, new_client_key as reached
                from loaded_client_merges
                union
                select reach.began, step.new_client_key
                from reach join loaded_client_merges as step
                    on step.old_client_key = reach.reached
                where reach.reached <> reach.began
            )
            select distinct began as client_key from reach where began = reached
            """
        )
        found = con.execute(
            "select file_no, count(*), min(row_no) from loaded_client_merges"
            " where old_client_key in (from cyclic) group by 1 order by 1"
        ).fetchall()
        for number, n_rows, first in found:
            name = f"client_merges-{number}"
            self.account.partial.add("client_merges")
            self.account.refusals.append(
                Refusal(
                    name, "client_merges", "new_client_id", "merge_cycle", n_rows, first
                )
            )
            self.account.ledger = [
                _moved_to_quarantine(row, n_rows) if row.file == name else row
                for row in self.account.ledger
            ]
            private_folder(self.quarantine)
            con.execute(
                "copy (select row_no, 'merge_cycle' as reason from loaded_client_merges"
                " where old_client_key in (from cyclic)) to"
                f" '{quoted(self.quarantine / f'{name}.cycles.parquet')}'"
                f" (format parquet{self.door.encryption})"
            )
        con.execute(
            "delete from loaded_client_merges where old_client_key in (from cyclic)"
        )

    def _count_duplicates(self) -> None:
        """Count rows whose id the same delivery brings again; the later one wins."""
        for name, number in self.loaded_tables.items():
            table = BY_NAME[name]
            n = self._one(self._duplicates(table))
            if n:
                self._notice(f"{name}-{number}", name, "", "duplicate_id", n)

    def _duplicates(self, table: Table) -> str:
        """Return SQL that counts the rows of a loaded table whose id came before."""
        name, identity = table.name, _identity_columns(table)
        item = next((c.name for c in table.columns if c.kind == "item"), "")
        if name in self.numbered and item in table.identity:
            n_items = self._one(
                "select count(distinct value) from spelling where starts_with(kind, 'item:')"
            )
            if n_items < _BITS:
                # A bit an item: one group an administration, not one an item of it.
                others = ", ".join(column for column in identity if column != item)
                return (
                    f"select coalesce(sum(n_rows - n_items), 0)::bigint from ("
                    "select count(*) as n_rows,"
                    " bit_count(bit_or(1::bigint << bit.place)) as n_items"
                    f" from loaded_{name} as loaded join ("
                    "select no, (dense_rank() over (order by value) - 1)::integer as place"
                    " from spelling where starts_with(kind, 'item:')"
                    f") as bit on bit.no = loaded.{item}_no group by {others})"
                )
        # 64 bits stand for the id: far cheaper, and this is a count, not a rule.
        columns = ", ".join(identity)
        return f"select count(*) - count(distinct hash({columns})) from loaded_{name}"

    def _remember(self) -> None:
        con = self.con
        con.execute("create temp table if not exists erased (key varchar)")
        of_source = f"position('{OTHER_SOURCE_MARK}' in text) = 0"
        self.door.vault.remember(
            self.found.source,
            clients=con.execute(
                "select distinct trim(nfc_normalize(text)), value from spelling"
                f" where kind = 'id:client' and {of_source}"
                " and value not in (select key from erased)"
            ).fetchall(),
            therapists=con.execute(
                "select distinct trim(nfc_normalize(text)), value from spelling"
                " where kind = 'id:therapist'"
            ).fetchall(),
            raw_codes=con.execute(
                "select distinct token, split_part(kind, ':', 3), text from spelling"
                " where token is not null"
            ).fetchall(),
        )

    def _write_bronze(self) -> None:
        for name in sorted(self.loaded_tables):
            table = BY_NAME[name]
            n_rows = self._one(f"select count(*) from loaded_{name}")
            folder = self.door.home / "bronze" / self.found.source / name
            private_folder(folder)
            final = folder / f"{self.batch}.parquet"
            if self.before.get(name, "").endswith(f"/{final.name}"):
                # What the ledger names stays until the ledger names this one.
                final = folder / f"{self.batch}.retried.parquet"
            building = final.with_name(f"{final.name}.building")
            self.con.execute(
                f"copy ({self._sorted_rows(table)}) to '{quoted(building)}'"
                f" (format parquet, compression zstd{self.door.encryption})"
            )
            with building.open("rb") as file:
                os.fsync(file.fileno())
            digest = file_sha256(building).hex()
            os.replace(building, final)
            sync(folder)
            path = final.relative_to(self.door.home / "bronze").as_posix()
            self.account.bronze.append((name, path, n_rows, digest))

    def _sorted_rows(self, table: Table) -> str:
        """Return SQL of a loaded table as bronze keeps it: sorted by its key."""
        name, key = table.name, table.sort_key
        columns = ", ".join(
            column
            for c in table.columns
            for column, _, _ in cell_of(c, "null", "null").outputs
        )
        by, rows = key, f"loaded_{name}"
        if name in self.numbered:
            number = f"{_id_of(table)}_no"
            if not self._one(
                f"select count(*) from {rows} where {number} is null and {key} is not null"
            ):
                by = "place"
                rows = (
                    f"(select loaded.*, sorted.place from {rows} as loaded left join ("
                    "select no, dense_rank() over (order by value) as place from spelling"
                    f" where starts_with(kind, 'id:')) as sorted on sorted.no = {number})"
                )
        # What is the same in every row is not carried through the sort.
        return (
            f"select {columns}, '{self.found.source}' as source,"
            f" '{self.batch}' as batch_id, file_no, row_no"
            f" from (from {rows} order by {by}, file_no, row_no)"
        )

    def _one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


# --- SQL of one file ----------------------------------------------------------------


def _typed_select(cells: dict[str, Cell], numbers: list[str]) -> tuple[str, str]:
    """Return the select list and the joins that type the rows of one file.

    Args:
        cells: how each column is read.
        numbers: columns ``<name>_no`` for the number of that column's spelling.
    """
    select = ["cell.row_no"]
    for number in numbers:
        name = number.removesuffix("_no")
        is_spelled = cells[name].spelled is not None
        select.append(
            f"{f's_{name}.no' if is_spelled else 'null::integer'} as {number}"
        )
    joins = []
    for name, cell in cells.items():
        select += [
            f"({sql})::{type_} as {column}" for column, type_, sql in cell.outputs
        ]
        if cell.spelled:
            kind, text = cell.spelled
            joins.append(
                f"left join spelling as s_{name}"
                f" on s_{name}.kind = '{kind}' and s_{name}.text = {text}"
            )
    bad = [
        f"case when {condition} then '{name}:{reason}' end"
        for name, cell in cells.items()
        for reason, condition in cell.bad
    ]
    is_bad = " or ".join(c for cell in cells.values() for _, c in cell.bad) or "false"
    # The list is made for bad rows only: nearly all have none.
    select.append(
        f"case when {is_bad} then list_filter([{', '.join(bad)}], x -> x is not null)"
        " else [] end as bad"
    )
    conditions = [c for cell in cells.values() for _, c in cell.notices]
    select += [f"coalesce({c}, false) as n{n}" for n, c in enumerate(conditions)]
    return ", ".join(select), " ".join(joins)


def _numbers(table: Table) -> list[str]:
    """Return the columns that hold the number of a spelling, in place of its text.

    Millions of rows are ordered by small numbers at a third of what their keys cost.
    """
    names = {c.name for c in table.columns if c.kind == "item"} | {_id_of(table)}
    return [f"{c.name}_no" for c in table.columns if c.name in names]


def _id_of(table: Table) -> str:
    """Return the id column behind the key that a table is sorted by."""
    ids = (c for c in table.columns if c.kind == "id")
    return next(c.name for c in ids if c.key_name == table.sort_key)


def _notice_conditions(cells: dict[str, Cell]) -> list[tuple[str, str]]:
    return [
        (name, reason) for name, cell in cells.items() for reason, _ in cell.notices
    ]


def _identity_columns(table: Table) -> list[str]:
    columns = []
    for name in table.identity:
        column = table.column(name)
        if column.kind == "id":
            columns.append(column.key_name)
        elif column.kind == "timestamp":
            columns += [f"{name}_wall", f"{name}_offset_minutes"]
        elif column.kind != "source":  # the other client's key holds it
            columns.append(name)
    return columns


def _moved_to_quarantine(row: LedgerRow, n_rows: int) -> LedgerRow:
    return LedgerRow(
        row.file,
        row.table_name,
        row.encoding,
        row.rows_in,
        row.rows_loaded - n_rows,
        row.rows_quarantined + n_rows,
        row.rows_filtered,
        row.rows_footer,
        row.rows_blank,
    )


def _moved_to_filtered(row: LedgerRow, n_rows: int) -> LedgerRow:
    return replace(
        row,
        rows_loaded=row.rows_loaded - n_rows,
        rows_filtered=row.rows_filtered + n_rows,
    )


def _bad_share(ledger: list[LedgerRow]) -> float:
    """Return the share of rows in quarantine among those that were to be loaded."""
    n_bad = sum(row.rows_quarantined for row in ledger)
    n_wanted = n_bad + sum(row.rows_loaded for row in ledger)
    return n_bad / n_wanted if n_wanted else 0.0
