"""One FHIR delivery: members in, canonical tables of text out, each resource accounted for.

Entry point for ``load.py``. Rows of all members come out together, table by table, each
with its member and its place there, packed into one number so that the typed path needs
only the row numbers it has for every other file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from rapport.ingest.fhir.linking import prepare_links
from rapport.ingest.fhir.measures import make_measures
from rapport.ingest.fhir.members import look_at
from rapport.ingest.fhir.reading import Reader
from rapport.ingest.fhir.schema import HOME_TABLE, SHAPES
from rapport.ingest.fhir.tables import Tables
from rapport.ingest.fhir.words import prepare_words
from rapport.ingest.raw import FileRefused, clear_raw
from rapport.ingest.translate import CodeLists
from rapport.mapping import BY_NAME
from rapport.mapping.fhir import FhirMapping

# A row's number: the member, then the row in it, then its part of that resource.
_PART_BITS, _ROW_BITS = 13, 31
# What a DELETE of a resource type removes; no other canonical table has a `deleted`.
_DELETED = {
    "Encounter": ("sessions", "session_id", ""),
    "Appointment": ("sessions", "session_id", "Appointment/"),
    "QuestionnaireResponse": ("measures", "administration_id", ""),
    "Observation": ("measures", "administration_id", "Observation/"),
}


@dataclass
class FhirTables:
    """What became of the members of one delivery.

    Attributes:
        tables: canonical tables that have rows, in contract order.
        refused: (member, reason, rows) of members that were refused whole.
        ignored: members that hold no resource.
        filtered: (member, table, reason) -> resources that are known and not wanted.
        bad: (member, table, reason) -> (resources, first row) that can't stand.
        deleted: (member, row, table, id, stamp) of what is to be removed by its id.
    """

    tables: list[str] = field(default_factory=list)
    refused: list[tuple[int, FileRefused]] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    filtered: dict[tuple[int, str, str], int] = field(default_factory=dict)
    bad: dict[tuple[int, str, str], tuple[int, int]] = field(default_factory=dict)
    deleted: list[tuple[int, int, str, str, str | None]] = field(default_factory=list)


def read_delivery(
    con: duckdb.DuckDBPyConnection,
    members: list[tuple[int, Path]],
    mapping: FhirMapping,
    codes: CodeLists,
    *,
    received_on: str,
    folder: Path,
) -> FhirTables:
    """Read the FHIR members of one delivery into ``out_<table>`` of the scratch database.

    Args:
        con: the scratch database.
        members: (number in the delivery, path) of each member.
        mapping: the FHIR part of the source's mapping.
        codes: the code lists and the registry.
        received_on: ISO date of a merge that carries no date of its own.
        folder: where a copy may lie while it is read.
    """
    found = FhirTables()
    reader = Reader(con, folder)
    for number, path in members:
        try:
            reader.read(look_at(number, path))
        except FileRefused as refused:
            found.refused.append((number, refused))
    reader.finish()
    found.ignored = reader.said.ignored
    prepare_words(con, mapping, codes)
    kinds = {
        kind
        for kind in SHAPES
        if con.execute(f"select 1 from fh_{kind} limit 1").fetchall()
    }
    prepare_links(con, kinds)
    tables = Tables(con, mapping, kinds, received_on)
    tables.make()
    make_measures(con, tables)
    _count(con, reader, found)
    _deletions(con, found)
    for name in BY_NAME:
        if con.execute(f"select 1 from out_{name} limit 1").fetchall():
            found.tables.append(name)
    return found


def lay_raw(con: duckdb.DuckDBPyConnection, table: str) -> tuple[str, ...]:
    """Leave one canonical table as ``raw``, ``unreadable`` and ``blank_line``.

    Returns:
        the headers, which are the canonical column names.
    """
    names = tuple(column.name for column in BY_NAME[table].columns)
    cells = ", ".join(f'"{name}" as c{n}' for n, name in enumerate(names, start=1))
    clear_raw(con)
    con.execute(
        f"create temp table raw as select (file_no::bigint << {_PART_BITS + _ROW_BITS})"
        f" + (row_no << {_PART_BITS}) + part as row_no, {cells} from out_{table}"
    )
    con.execute(
        "create temp table unreadable (row_no bigint, reason varchar, line varchar)"
    )
    con.execute("create temp table blank_line (row_no bigint)")
    con.execute(f"drop table out_{table}")
    return names


def member_of(row_no: str) -> str:
    """Return SQL of the member behind a packed row number."""
    return f"({row_no} >> {_PART_BITS + _ROW_BITS})::integer"


def place_of(row_no: str) -> str:
    """Return SQL of the row in its member behind a packed row number."""
    return f"(({row_no} >> {_PART_BITS}) & {(1 << _ROW_BITS) - 1})"


def _count(con: duckdb.DuckDBPyConnection, reader: Reader, found: FhirTables) -> None:
    for (number, _), n in reader.said.others.items():
        key = (number, "none", "resource_not_wanted")
        found.filtered[key] = found.filtered.get(key, 0) + n
    looked_up = con.execute(
        "select file_no, count(*) from fh_Questionnaire where full_url is null"
        " or full_url not like '%#%' group by file_no"
    ).fetchall()
    for number, n in looked_up:
        found.filtered[number, "none", "looked_up_only"] = n
    for number, table, reason, n in con.execute(
        "select file_no, table_name, reason, count(distinct row_no) from fh_filtered"
        " group by all order by all"
    ).fetchall():
        found.filtered[number, table, reason] = n
    for number, table, reason, n, first in con.execute(
        "select file_no, table_name, reason, count(*), min(row_no) from fh_bad"
        " group by all order by all"
    ).fetchall():
        found.bad[number, table, reason] = (n, first)


def _deletions(con: duckdb.DuckDBPyConnection, found: FhirTables) -> None:
    """Work out what each DELETE removes, and when it was said.

    A DELETE that carries no time is as young as the youngest resource that came with it.
    """
    youngest = con.execute(
        "select max(stamp) from ("
        + " union all ".join(
            f"select max(try_cast(meta.lastUpdated as timestamptz))::varchar as stamp"
            f" from fh_{kind}"
            for kind in HOME_TABLE
        )
        + ")"
    ).fetchone()
    assert youngest is not None
    for number, row, kind, id_, stamp in con.execute(
        "select file_no, row_no, kind, id, stamp from fh_delete order by all"
    ).fetchall():
        if kind in _DELETED and id_:
            table, _, prefix = _DELETED[kind]
            stamp = stamp or youngest[0]
            found.deleted.append((number, row, table, prefix + id_, stamp))
        else:
            key = (number, HOME_TABLE.get(kind, "none"), "deletion_not_kept")
            found.filtered[key] = found.filtered.get(key, 0) + 1
