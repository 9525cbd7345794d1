"""One delivery through the door, in one transaction.

read -> map -> check -> write Parquet under a temporary name -> fsync -> rename -> commit
the ledger. The ledger commit is the moment of truth: a bronze file without its ledger
row does not exist, and is written anew by the next try.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import duckdb
from duckdb.func import FunctionNullHandling

from rapport.errors import DiskFull, is_disk_full
from rapport.ingest.cells import Cell, cell_of
from rapport.ingest.delimited import (
    FileRefused,
    drop_unterminated_row,
    ends_with_newline,
    read_delimited,
    read_header,
)
from rapport.ingest.fhir.through import Typed, load_fhir
from rapport.ingest.inbox import MANIFEST, Found, is_plain_file
from rapport.ingest.translate import OTHER_SOURCE_MARK, CodeLists, Translator
from rapport.mapping import BY_NAME, FileMapping, Mapping, Table, load_mapping
from rapport.mapping.vendor import normal_header
from rapport.privacy import KeyRing, Vault
from rapport.settings import Settings
from rapport.state import ControlState, Delivery, LedgerRow, Notice, Refusal
from rapport.warehouse.connections import scratch, temp_folder

_SMALL_BYTES = 8 << 20
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
    """What one delivery has come to so far."""

    ledger: list[LedgerRow] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    bronze: list[tuple[str, str, int]] = field(default_factory=list)


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
        codes = CodeLists(settings.project_root / "dbt_project" / "seeds")
        self.translator = Translator(keys, codes)
        self._open = ExitStack()

    def __enter__(self) -> Self:
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

    def load(self, found: Found, state: ControlState) -> Outcome:
        """Load one complete delivery that the ledger does not know.

        Rows that can't stand are quarantined with their reason; nothing else is lost.

        Raises:
            DiskFull: no room; nothing of it is kept and the next try repeats it.
            MappingError: the source's mapping is not valid.
        """
        batch = self.keys.batch_id(found.source, found.delivery_id)
        stat_mark, digest = found.stat_mark(), found.digest()
        manifest = _manifest(found.folder)
        account = _Account()
        mapping = load_mapping(self.home, found.source)
        try:
            if mapping is None:
                account.refusals.append(
                    Refusal("delivery", "", "", "source_unmapped", 0, None)
                )
            else:
                _Loading(self, found, batch, mapping, account).run()
        except (OSError, duckdb.Error) as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"delivery {batch}: no room left on the disk; nothing of it is kept",
                    next_step="free room, then run rapport ingest again",
                ) from None
            raise
        now = datetime.now(UTC)
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
                manifest.received_at or now,
                now,
                outcome,
                len(account.files),
            ),
            modes={table: _mode(manifest, account, table) for table in account.tables},
            bronze=account.bronze,
            ledger=account.ledger,
            refusals=account.refusals,
            notices=account.notices,
        )
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
    snapshots: frozenset[str]
    is_readable: bool


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.exists():
        return Manifest(None, frozenset(), True)
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        tables = said.get("tables", {})
        snapshots = frozenset(
            table
            for table, about in tables.items()
            if table in BY_NAME and about.get("mode") == "snapshot"
        )
        text = said.get("received_at")
        received = datetime.fromisoformat(text) if text else None
    except (OSError, ValueError, AttributeError, TypeError):
        return Manifest(None, frozenset(), False)
    if received is not None and received.tzinfo is None:
        received = received.replace(tzinfo=UTC)
    return Manifest(received, snapshots, True)


def _mode(manifest: Manifest, account: _Account, table: str) -> str:
    """A snapshot with refused rows deletes nothing: what it lacks may be among them."""
    whole = table in manifest.snapshots and table not in account.partial
    return "snapshot" if whole else "delta"


class _Loading:
    """The work on one delivery, in a scratch database of its own."""

    def __init__(
        self,
        door: Door,
        found: Found,
        batch: str,
        mapping: Mapping,
        account: _Account,
    ) -> None:
        self.door, self.found, self.batch = door, found, batch
        self.mapping, self.account = mapping, account
        self.quarantine = door.home / "quarantine" / found.source / batch
        self.con = door.con
        self.loaded_tables: dict[str, int] = {}

    def run(self) -> None:
        self._sweep()
        if not _manifest(self.found.folder).is_readable:
            self.account.refusals.append(
                Refusal("manifest", "", "", "manifest_unreadable", 0, None)
            )
        self._clear_scratch()
        self.con.execute(f"set threads = {self._n_threads()}")
        self.con.execute(
            "create temp table spelling"
            " (kind varchar, text varchar, value varchar, token varchar)"
        )
        members = list(enumerate(self._members(), start=1))
        self._fhir([m for m in members if self.mapping.is_fhir(m[1].name)])
        for number, member in members:
            if not self.mapping.is_fhir(member.name):
                self._file(number, member)
        self._refuse_merge_cycles()
        self._count_duplicates()
        self._remember()
        self._write_bronze()
        self._clear_scratch()

    def _members(self) -> list[Path]:
        return [m for m in self.found.members() if m.name != MANIFEST]

    def _sweep(self) -> None:
        """Remove what an interrupted try of this delivery left behind."""
        if self.quarantine.exists():
            shutil.rmtree(self.quarantine)
        bronze = self.door.home / "bronze" / self.found.source
        for left in bronze.glob(f"*/{self.batch}.parquet*"):
            left.unlink()

    def _n_threads(self) -> int:
        """One thread for a small delivery: handing work around would cost more."""
        n_bytes = sum(member.lstat().st_size for member in self._members())
        return 1 if n_bytes < _SMALL_BYTES else self.door.settings.warehouse.threads

    def _clear_scratch(self) -> None:
        """Drop what the delivery before left in the scratch database."""
        left = self.con.execute(
            "select table_name from duckdb_tables() where temporary"
        ).fetchall()
        for (name,) in left:
            self.con.execute(f"drop table {name}")

    # --- FHIR: members that are read together (ingest/fhir/) ------------------------

    def _fhir(self, members: list[tuple[int, Path]]) -> None:
        if not members or self.mapping.fhir is None:
            return
        plain = [(n, path) for n, path in members if is_plain_file(path)]
        for number, path in members:
            if not is_plain_file(path):
                self._refuse_file(f"file-{number}", "", path, FileRefused("not_a_file"))
        said = load_fhir(
            Typed(
                self.con,
                self.found.source,
                self.batch,
                self.quarantine,
                self._type_fhir,
                self._refuse_file,
            ),
            plain,
            self.mapping.fhir,
            self.door.translator.codes,
            received_at=_manifest(self.found.folder).received_at,
            folder=temp_folder(self.door.settings),
        )
        self.account.ledger += said.ledger
        self.account.refusals += said.refusals
        self.account.notices += said.notices
        self.account.files |= said.files
        self.account.partial |= said.partial
        for table in {row.table_name for row in said.ledger} & BY_NAME.keys():
            self.account.tables.add(table)
            if self._one(
                "select count(*) from duckdb_tables() where temporary"
                f" and table_name = 'loaded_{table}'"
            ):
                self.loaded_tables.setdefault(table, 0)

    def _type_fhir(self, name: str, table: str, headers: tuple[str, ...]) -> None:
        """Type the rows of one table; what is counted here is counted by member above."""
        account = self.account
        ledger, refusals = list(account.ledger), list(account.refusals)
        part = FileMapping(match="*", table=table)
        places = _places(headers)
        self._sort_rows(name, 0, BY_NAME[table], part, places, len(headers))
        account.ledger, account.refusals = ledger, refusals
        (self.quarantine / f"{name}.rows.parquet").unlink(missing_ok=True)

    # --- one file -------------------------------------------------------------------

    def _file(self, number: int, member: Path) -> None:
        parts = self.mapping.of_file(member.name)
        if not parts:
            name = f"file-{number}"
            self.account.files[name] = member.name
            if self.mapping.is_ignored(member.name):
                self.account.notices.append(Notice(name, "", "", "file_ignored", 0))
            else:
                self._refuse_file(name, "", member, FileRefused("file_unknown"))
            return
        for part in parts:
            name = f"{part.table}-{number}"
            self.account.files[name] = member.name
            try:
                self._table(name, number, member, part)
            except FileRefused as refused:
                self._refuse_file(name, part.table, member, refused)

    def _refuse_file(
        self, name: str, table: str, member: Path, refused: FileRefused
    ) -> None:
        n_rows = refused.n_rows
        self.account.ledger.append(
            LedgerRow(name, table or "none", None, n_rows, 0, n_rows, 0, 0, 0)
        )
        self.account.refusals.append(
            Refusal(name, table, refused.column, refused.reason, n_rows, None)
        )
        self.account.partial.add(table)
        self.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_plain_file(member):
            shutil.copyfile(member, self.quarantine / f"{name}.refused")

    def _table(self, name: str, number: int, member: Path, part: FileMapping) -> None:
        if not is_plain_file(member):
            raise FileRefused("not_a_file")
        raw = read_header(member, part.delimiter)
        table = BY_NAME[part.table]
        places = _places(raw.headers)
        n_columns = len(raw.headers)
        self._check_header(name, table, part, raw.headers, places)
        read_delimited(self.con, member, part.delimiter, raw)
        if not ends_with_newline(member):
            drop_unterminated_row(self.con)
        missing = _missing_required(table, part, places)
        if missing:
            n_rows = self._one("select count(*) from raw") + self._one(
                "select count(*) from unreadable"
            )
            raise FileRefused("required_column_missing", n_rows, missing[0])
        self.account.tables.add(table.name)
        self._sort_rows(name, number, table, part, places, n_columns)

    def _check_header(
        self,
        name: str,
        table: Table,
        part: FileMapping,
        headers: tuple[str, ...],
        places: dict[str, int],
    ) -> None:
        """Refuse what does not look like a header; count columns that are dropped."""
        known = part.known_headers()
        n_known = sum(header in known for header in places)
        if 2 * n_known < len(headers):
            n_rows = _n_data_lines(self.found, self.account.files[name])
            raise FileRefused("header_unrecognised", n_rows)
        kept = {
            normal_header(h)
            for c in table.columns
            if (h := part.header_of(c.name)) is not None
        }
        kept |= {normal_header(h) for parts in part.compose.values() for h in parts}
        kept |= {normal_header(rule.column) for rule in part.filter}
        for ordinal, header in enumerate(headers, start=1):
            if normal_header(header) not in kept:
                self.account.notices.append(
                    Notice(name, table.name, f"column_{ordinal}", "column_dropped", 0)
                )

    def _sort_rows(
        self,
        name: str,
        number: int,
        table: Table,
        part: FileMapping,
        places: dict[str, int],
        n_columns: int,
    ) -> None:
        """Tell blank, filtered, bad and good rows apart; keep the good ones typed."""
        con = self.con
        texts = _texts(table, part, places)
        blank = " and ".join(
            f"nullif(trim(c{n}), '') is null" for n in range(1, n_columns + 1)
        )
        filters = [_filter_sql(rule, places) for rule in part.filter]
        dropped = " or ".join(filters) if filters else "false"
        con.execute("drop table if exists row_kind")
        con.execute("drop table if exists cell")
        cells = {
            column.name: cell_of(column, f"cell.{column.name}", f"s_{column.name}")
            for column in table.columns
        }
        con.execute(
            "create temp table cell as select row_no, case when "
            f"{blank} then 'blank' when {dropped} then 'filtered' else 'row' end as kind, "
            + ", ".join(f"{sql} as {column}" for column, sql in texts.items())
            + " from raw"
        )
        self._translate(cells)
        typed, joins = _typed_select(cells)
        con.execute("drop table if exists typed")
        con.execute(
            f"create temp table typed as select {typed} from {_with_parts(cells)}"
            f" as cell {joins}"
        )
        self._self_merges(table)
        n_bad = self._quarantine_rows(name, table)
        self._notices(name, table, cells)
        outputs = [output for cell in cells.values() for output in cell.outputs]
        self._keep(table, outputs, number)
        counts = dict(
            con.execute("select kind, count(*) from cell group by kind").fetchall()
        )
        n_unreadable = self._one("select count(*) from unreadable")
        n_blank = counts.get("blank", 0) + self._one("select count(*) from blank_line")
        n_rows = counts.get("row", 0)
        self.account.ledger.append(
            LedgerRow(
                name,
                table.name,
                "utf-8",
                n_rows + counts.get("filtered", 0) + n_blank + n_unreadable,
                n_rows - (n_bad - n_unreadable),
                n_bad,
                counts.get("filtered", 0),
                0,
                n_blank,
            )
        )

    def _translate(self, cells: dict[str, Cell]) -> None:
        """Look every distinct spelling of the file up once."""
        spelled = [cell.spelled for cell in cells.values() if cell.spelled]
        union = " union ".join(
            f"select '{kind}' as kind, {text} as text from cell where kind = 'row'"
            for kind, text in spelled
        )
        self.con.execute(
            f"""
            insert into spelling
            select kind, text, value_of(kind, '{self.found.source}', text), token_of(kind, text)
            from ({union}) as found
            where text is not null and length(text) <= 256
                and not exists (
                    select 1 from spelling as s
                    where s.kind = found.kind and s.text = found.text
                )
            """
        )

    def _self_merges(self, table: Table) -> None:
        if table.name == "client_merges":
            self.con.execute(
                "update typed set bad = list_append(bad, 'new_client_id:merge_to_itself')"
                " where old_client_key = new_client_key"
            )

    def _quarantine_rows(self, name: str, table: Table) -> int:
        """Write the bad rows whole, with their reasons; return how many there are."""
        con = self.con
        n_bad = self._one("select count(*) from typed where len(bad) > 0")
        n_unreadable = self._one("select count(*) from unreadable")
        if n_bad + n_unreadable == 0:
            return 0
        self.account.partial.add(table.name)
        self.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
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
            "copy (select raw.*, typed.bad as reasons from raw join typed using (row_no)"
            " where len(typed.bad) > 0 order by row_no) to"
            f" '{_quoted(self.quarantine / f'{name}.rows.parquet')}' (format parquet)"
        )
        if n_unreadable:
            con.execute(
                "copy (select * from unreadable order by row_no) to"
                f" '{_quoted(self.quarantine / f'{name}.unreadable.parquet')}'"
                " (format parquet)"
            )
        return n_bad + n_unreadable

    def _notices(self, name: str, table: Table, cells: dict[str, Cell]) -> None:
        counted = [
            (column, reason, f"n{n}")
            for n, (column, reason) in enumerate(_notice_conditions(cells))
        ]
        if not counted:
            return
        sums = ", ".join(f"count(*) filter (where {alias})" for _, _, alias in counted)
        row = self.con.execute(
            f"select {sums} from typed where len(bad) = 0"
        ).fetchone()
        assert row is not None
        self.account.notices += [
            Notice(name, table.name, column, reason, n)
            for (column, reason, _), n in zip(counted, row, strict=True)
            if n
        ]

    def _keep(
        self, table: Table, outputs: list[tuple[str, str, str]], number: int
    ) -> None:
        columns = ", ".join(column for column, _, _ in outputs)
        select = (
            f"select {columns}, '{self.found.source}' as source,"
            f" '{self.batch}' as batch_id, {number}::integer as file_no,"
            " row_no::bigint as row_no from typed where len(bad) = 0"
        )
        if table.name in self.loaded_tables:
            self.con.execute(f"insert into loaded_{table.name} {select}")
        else:
            self.con.execute(f"create temp table loaded_{table.name} as {select}")
            self.loaded_tables[table.name] = number

    # --- the delivery as a whole ----------------------------------------------------

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
            self.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
            con.execute(
                "copy (select row_no, 'merge_cycle' as reason from loaded_client_merges"
                " where old_client_key in (from cyclic)) to"
                f" '{_quoted(self.quarantine / f'{name}.cycles.parquet')}'"
                " (format parquet)"
            )
        con.execute(
            "delete from loaded_client_merges where old_client_key in (from cyclic)"
        )

    def _count_duplicates(self) -> None:
        """Count rows whose id the same delivery brings again; the later one wins."""
        for name, number in self.loaded_tables.items():
            table = BY_NAME[name]
            identity = ", ".join(_identity_columns(table))
            n = self._one(
                f"select count(*) - count(distinct ({identity})) from loaded_{name}"
            )
            if n:
                self.account.notices.append(
                    Notice(f"{name}-{number}", name, "", "duplicate_id", n)
                )

    def _remember(self) -> None:
        con = self.con
        of_source = f"position('{OTHER_SOURCE_MARK}' in text) = 0"
        self.door.vault.remember(
            self.found.source,
            clients=con.execute(
                "select distinct trim(nfc_normalize(text)), value from spelling"
                f" where kind = 'id:client' and {of_source}"
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
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            final = folder / f"{self.batch}.parquet"
            building = folder / f"{self.batch}.parquet.building"
            self.con.execute(
                f"copy (from loaded_{name} order by {table.sort_key}, file_no, row_no)"
                f" to '{_quoted(building)}' (format parquet, compression zstd)"
            )
            with building.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(building, final)
            _sync_folder(folder)
            path = final.relative_to(self.door.home / "bronze").as_posix()
            self.account.bronze.append((name, path, n_rows))

    def _one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


# --- SQL of one file ----------------------------------------------------------------


def _places(headers: tuple[str, ...]) -> dict[str, int]:
    """Return the position of each normalised header; of two alike, the first."""
    places: dict[str, int] = {}
    for place, header in enumerate(headers, start=1):
        places.setdefault(normal_header(header), place)
    return places


def _missing_required(
    table: Table, part: FileMapping, places: dict[str, int]
) -> list[str]:
    missing = []
    for column in table.columns:
        if not column.required or column.name in part.constants:
            continue
        if column.name in part.compose:
            headers = part.compose[column.name]
        else:
            header = part.header_of(column.name)
            headers = (header,) if header else ()
        if not headers or any(normal_header(h) not in places for h in headers):
            missing.append(column.name)
    return missing


def _texts(table: Table, part: FileMapping, places: dict[str, int]) -> dict[str, str]:
    """Return, for each canonical column, SQL of its trimmed text over ``raw``."""
    texts = {}
    for column in table.columns:
        name = column.name
        header = part.header_of(name)
        if name in part.constants:
            sql = _literal(part.constants[name])
        elif name in part.compose:
            cells = [f"trim(c{places[normal_header(h)]})" for h in part.compose[name]]
            sql = " || '|' || ".join(cells)
        elif header is not None and normal_header(header) in places:
            sql = f"nullif(trim(c{places[normal_header(header)]}), '')"
        else:
            sql = "null::varchar"
        if name in part.codes:
            whens = " ".join(
                f"when {_literal(vendor)} then {_literal(code)}"
                for vendor, code in part.codes[name].items()
            )
            sql = f"case {sql} {whens} else {sql} end"
        texts[name] = sql
    if table.name == "client_links":
        other, mark = texts["other_client_id"], f"chr({ord(OTHER_SOURCE_MARK)})"
        texts["other_client_id"] = f"{texts['other_source']} || {mark} || {other}"
    return texts


def _with_parts(cells: dict[str, Cell]) -> str:
    """Return a subquery of the rows with the parts of their cells, each taken once."""
    layers: list[list[str]] = [[], []]
    for cell in cells.values():
        for n, (name, sql) in enumerate(cell.parts):
            layers[min(n, 1)].append(f"{sql} as {name}")
    query = "select * from cell where kind = 'row'"
    for layer in layers:
        if layer:
            query = f"select *, {', '.join(layer)} from ({query}) as cell"
    return f"({query})"


def _typed_select(cells: dict[str, Cell]) -> tuple[str, str]:
    """Return the select list and the joins that type the rows of one file."""
    select = ["cell.row_no"]
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
    select.append(f"list_filter([{', '.join(bad)}], x -> x is not null) as bad")
    conditions = [c for cell in cells.values() for _, c in cell.notices]
    select += [f"coalesce({c}, false) as n{n}" for n, c in enumerate(conditions)]
    return ", ".join(select), " ".join(joins)


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
        else:
            columns.append(name)
    return columns


def _filter_sql(rule: Any, places: dict[str, int]) -> str:
    place = places.get(normal_header(rule.column))
    cell = "null" if place is None else f"trim(c{place})"
    values = ", ".join(_literal(value) for value in (rule.keep or rule.drop))
    if rule.keep:
        return f"coalesce({cell} not in ({values}), true)"
    return f"coalesce({cell} in ({values}), false)"


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


def _n_data_lines(found: Found, name: str) -> int:
    with (found.folder / name).open("rb") as file:
        n_breaks = sum(b.count(b"\n") for b in iter(lambda: file.read(1 << 20), b""))
    return max(0, n_breaks - 1)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
