"""Take the FHIR members of a delivery through the door's own typed path.

The rows of all members go through it table by table; here they are handed back to their
members, so that ledger, quarantine and bronze speak of files and their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from rapport.files import private_folder
from rapport.ingest.cells import cell_of
from rapport.ingest.fhir.delivery import (
    FhirTables,
    lay_raw,
    member_of,
    place_of,
    read_delivery,
)
from rapport.ingest.raw import FileRefused
from rapport.ingest.readers import Source
from rapport.ingest.translate import CodeLists
from rapport.mapping import BY_NAME
from rapport.mapping.fhir import FhirMapping
from rapport.state import LedgerRow, Notice, Refusal
from rapport.warehouse.connections import quoted


@dataclass
class Counts:
    """The ledger of one member and table while it is counted."""

    loaded: int = 0
    quarantined: int = 0
    filtered: int = 0
    blank: int = 0


@dataclass(frozen=True)
class Typed:
    """What the door lends: how a raw table is typed and kept, and where refusals go.

    Attributes:
        con: the scratch database.
        source: the source's name.
        batch: the delivery's opaque id.
        quarantine: the delivery's quarantine folder.
        type_rows: types ``raw`` for a table, leaves ``typed`` and ``loaded_<table>``,
            and writes bad rows under the name it is given.
        refuse: refuses a member whole: name, table, file, its true name, why.
    """

    con: duckdb.DuckDBPyConnection
    source: str
    batch: str
    quarantine: Path
    encryption: str
    type_rows: Callable[[str, str, tuple[str, ...]], None]
    refuse: Callable[[str, str, Path, str, FileRefused], None]


@dataclass
class Outcome:
    """What is added to the delivery's account."""

    ledger: list[LedgerRow]
    refusals: list[Refusal]
    notices: list[Notice]
    files: dict[str, str]
    partial: set[str]
    loaded: set[str]


def load_fhir(
    typed: Typed,
    members: list[Source],
    mapping: FhirMapping,
    codes: CodeLists,
    *,
    received_at: datetime | None,
    folder: Path,
) -> Outcome:
    """Load every FHIR member of one delivery.

    Raises:
        duckdb.Error: the engine failed; nothing of the delivery is kept.
    """
    said = Outcome([], [], [], {}, set(), set())
    of_number = {member.number: member for member in members}
    paths = [(member.number, member.member.path) for member in members]
    received_on = (received_at or datetime.now(UTC)).date().isoformat()
    found = read_delivery(
        typed.con, paths, mapping, codes, received_on=received_on, folder=folder
    )
    counts: dict[tuple[int, str], Counts] = {}
    for table in found.tables:
        _type_table(typed, table, counts, said)
    _delete(typed, found, counts)
    _count_others(typed, found, counts, said)
    for (number, table), n in sorted(counts.items()):
        name = f"{table}-{number}" if table != "none" else f"file-{number}"
        said.files[name] = of_number[number].true_name
        total = n.loaded + n.quarantined + n.filtered + n.blank
        said.ledger.append(
            LedgerRow(
                name, table, "utf-8", total, n.loaded, n.quarantined, n.filtered, 0,
                n.blank,
            )
        )  # fmt: skip
    for number in found.ignored:
        said.files[f"file-{number}"] = of_number[number].true_name
        said.notices.append(Notice(f"file-{number}", "", "", "file_ignored", 0))
    for number, refused in found.refused:
        said.files[f"file-{number}"] = of_number[number].true_name
        member = of_number[number]
        typed.refuse(f"file-{number}", "", member.delivered, member.true_name, refused)
        # What the member held is not known, so no table of the delivery is whole.
        said.partial |= set(BY_NAME)
    said.loaded = set(found.tables) | {row[2] for row in found.deleted}
    _drop_scratch(typed.con)
    return said


def _type_table(
    typed: Typed,
    table: str,
    counts: dict[tuple[int, str], Counts],
    said: Outcome,
) -> None:
    con = typed.con
    headers = lay_raw(con, table)
    typed.type_rows(f"{table}-0", table, headers)
    rows = con.execute(
        f"select {member_of('row_no')}, count(*), count(*) filter (where len(bad) > 0)"
        " from typed group by 1 order by 1"
    ).fetchall()
    for number, n, n_bad in rows:
        count = counts.setdefault((number, table), Counts())
        count.loaded += n - n_bad
        count.quarantined += n_bad
        if n_bad:
            _quarantine(typed, table, number, said)
    for number, n in con.execute(
        f"select {member_of('row_no')}, count(*) from erased_row group by 1 order by 1"
    ).fetchall():
        counts.setdefault((number, table), Counts()).filtered += n
        said.notices.append(Notice(f"{table}-{number}", table, "", "purged", n))
    for number, n in con.execute(
        f"select {member_of('row_no')}, count(*) from cell where kind = 'blank' group by 1"
    ).fetchall():
        counts.setdefault((number, table), Counts()).blank += n
    con.execute(
        f"create or replace temp table loaded_{table} as select * replace ("
        f" case when file_no = 0 then {member_of('row_no')} else file_no end as file_no,"
        f" case when file_no = 0 then {place_of('row_no')} else row_no end as row_no)"
        f" from loaded_{table}"
    )


def _quarantine(typed: Typed, table: str, number: int, said: Outcome) -> None:
    """Write a member's bad rows under the member's name, and say why they are bad."""
    con, name = typed.con, f"{table}-{number}"
    mine = f"{member_of('row_no')} = {number}"
    for column, reason, n, first in con.execute(
        f"""
        select column_name, reason, count(*), min(place) from (
            select {place_of("row_no")} as place,
                split_part(unnest(bad), ':', 1) as column_name,
                split_part(unnest(bad), ':', 2) as reason
            from typed where len(bad) > 0 and {mine}
        ) group by 1, 2 order by 1, 2
        """
    ).fetchall():
        said.refusals.append(Refusal(name, table, column, reason, n, first))
    said.partial.add(table)
    private_folder(typed.quarantine)
    con.execute(
        f"copy (select raw.* replace ({place_of('raw.row_no')} as row_no),"
        " typed.bad as reasons from raw join typed using (row_no)"
        f" where len(typed.bad) > 0 and {mine} order by 1) to"
        f" '{quoted(typed.quarantine / f'{name}.rows.parquet')}'"
        f" (format parquet{typed.encryption})"
    )


def _delete(
    typed: Typed, found: FhirTables, counts: dict[tuple[int, str], Counts]
) -> None:
    """Write a deleted version of each id that a DELETE names; nothing else is known."""
    con = typed.con
    for table in sorted({row[2] for row in found.deleted}):
        key = BY_NAME[table].column(BY_NAME[table].identity[0])
        outputs = [
            (column, kind)
            for c in BY_NAME[table].columns
            for column, kind, _ in cell_of(c, "null", "null").outputs
        ]
        columns = ", ".join(f"{column} {kind}" for column, kind in outputs)
        con.execute(
            f"create temp table if not exists loaded_{table} ({columns},"
            " file_no integer, row_no bigint)"
        )
        mine = [row for row in found.deleted if row[2] == table]
        con.executemany(
            f"insert into loaded_{table} ({key.key_name}, updated_at, deleted,"
            " file_no, row_no) values"
            " (value_of(?, ?, ?), try_cast(try_cast(? as timestamptz) at time zone 'UTC'"
            " as timestamp), true, ?, ?)",
            [
                [f"id:{key.of}", typed.source, id_, stamp, number, row]
                for number, row, _, id_, stamp in mine
            ],
        )  # fmt: skip
        for (number,), n in Counter((row[0],) for row in mine).items():
            counts.setdefault((number, table), Counts()).loaded += n


def _count_others(
    typed: Typed,
    found: FhirTables,
    counts: dict[tuple[int, str], Counts],
    said: Outcome,
) -> None:
    for (number, table, reason), n in found.filtered.items():
        counts.setdefault((number, table), Counts()).filtered += n
        name = f"{table}-{number}" if table != "none" else f"file-{number}"
        said.notices.append(Notice(name, table, "", reason, n))
    for (number, table, reason), (n, first) in found.bad.items():
        counts.setdefault((number, table), Counts()).quarantined += n
        name = f"{table}-{number}" if table != "none" else f"file-{number}"
        said.refusals.append(Refusal(name, table, "", reason, n, first))
        if table != "none":
            said.partial.add(table)
    if found.bad:
        private_folder(typed.quarantine)
        for number, table in sorted(
            {(number, table) for number, table, _ in found.bad}
        ):
            name = f"{table}-{number}" if table != "none" else f"file-{number}"
            typed.con.execute(
                "copy (select row_no, reason, resource as line from fh_bad where"
                f" file_no = {number} and table_name = '{table}' order by 1) to"
                f" '{quoted(typed.quarantine / f'{name}.unreadable.parquet')}'"
                f" (format parquet{typed.encryption})"
            )


def _drop_scratch(con: duckdb.DuckDBPyConnection) -> None:
    left = con.execute(
        "select table_name from duckdb_tables() where temporary and ("
        " starts_with(table_name, 'fh_') or starts_with(table_name, 'f_')"
        " or starts_with(table_name, 'out_'))"
    ).fetchall()
    for (name,) in left:
        con.execute(f'drop table "{name}"')
