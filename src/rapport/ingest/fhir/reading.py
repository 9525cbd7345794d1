"""Read the members of a FHIR delivery into one typed table a resource type.

Lines of one type are read typed at once, which is where the bulk of the rows is. All
else (Bundles, arrays, single resources, lines of several types) is taken apart as JSON
first. Every resource keeps its member and its place there: the line, or the entry.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from rapport.ingest.fhir.members import MAX_DOCUMENT_BYTES, MAX_LINE_BYTES, Member
from rapport.ingest.fhir.schema import (
    BUNDLE,
    HOME_TABLE,
    SHAPES,
    Shape,
    columns_argument,
    sql_type,
)
from rapport.ingest.raw import FileRefused

_MAX_NESTED_BUNDLES = 8
_LITERAL = r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]*)?/?$"
_AS_LINES = (
    "format = 'newline_delimited', ignore_errors = true,"
    f" maximum_object_size = {MAX_LINE_BYTES}"
)
_URN_ID = "regexp_extract(full_url, '^urn:(?:uuid|oid):(.+)$', 1)"


@dataclass
class Reading:
    """What reading a delivery has come to.

    Attributes:
        others: (member, resource type) -> resources of a type that is not wanted.
        ignored: members without a resource: logs and manifests.
    """

    others: dict[tuple[int, str], int] = field(default_factory=dict)
    ignored: list[int] = field(default_factory=list)


class Reader:
    """Reads member after member into the scratch database."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.con = con
        self.folder = folder
        self.said = Reading()
        place = "file_no integer, row_no bigint, bundle_no bigint, full_url varchar"
        for kind, shape in SHAPES.items():
            columns = ", ".join(f'"{n}" {sql_type(of)}' for n, of in shape.items())
            con.execute(f"create temp table fh_{kind} ({place}, {columns})")
        con.execute(f"create temp table fh_text ({place}, kind varchar, resource json)")
        con.execute(
            "create temp table fh_delete (file_no integer, row_no bigint, kind varchar,"
            " id varchar, stamp varchar)"
        )
        con.execute(
            "create temp table fh_bad (file_no integer, row_no bigint,"
            " table_name varchar, reason varchar, resource varchar)"
        )

    def read(self, member: Member) -> None:
        """Read one member; nothing of it is kept when it is refused.

        Raises:
            FileRefused: it is not JSON as a whole.
        """
        if member.layout == "none":
            self.said.ignored.append(member.number)
            return
        path = self._without_mark(member)
        try:
            if member.layout != "lines":
                self._document(member, path)
            elif member.first_type in SHAPES:
                self._typed_lines(member, path)
            else:
                self._take_lines(member, path, None)
        except duckdb.InvalidInputException as error:
            self._forget(member.number)
            is_large = "maximum_object_size" in str(error)
            is_cut = "unexpected end of data" in str(error)
            reason = "json_cut_off" if is_cut else "file_unreadable"
            reason = "json_too_large" if is_large else reason
            raise FileRefused(reason) from None
        finally:
            if path != member.path:
                path.unlink()

    def finish(self) -> None:
        """Take what was kept as JSON apart: Bundles into entries, entries into types."""
        con = self.con
        if self._one("select count(*) from fh_text"):
            self._open_bundles()
            con.execute(
                "insert into fh_bad select file_no, row_no, 'none', 'resource_type_missing',"
                " resource::varchar from fh_text where kind is null"
            )
            found = con.execute(
                "select file_no, kind, count(*) from fh_text where kind is not null"
                " group by all order by all"
            ).fetchall()
            for number, kind, n in found:
                if kind not in SHAPES:
                    self.said.others[number, kind] = n
            for kind in sorted({kind for _, kind, _ in found} & SHAPES.keys()):
                take_json(con, kind, f"(from fh_text where kind = '{kind}')")
        con.execute("drop table fh_text")

    # --- lines of one type ----------------------------------------------------------

    def _typed_lines(self, member: Member, path: Path) -> None:
        con, kind = self.con, member.first_type
        shape = SHAPES[kind]
        first = self._one(f"select coalesce(max(rowid), -1) + 1 from fh_{kind}")
        names = ", ".join(f'"{name}"' for name in shape)
        con.execute(
            f"insert into fh_{kind} (file_no, bundle_no, {names})"
            f" select {member.number}, 0, {names} from read_json('{_quoted(path)}',"
            f" {_AS_LINES}, columns = {columns_argument(shape)})"
        )
        # Rows keep the order of their lines, so a row's place in the table is its number.
        con.execute(
            f"update fh_{kind} set row_no = rowid - {first} + 1 where rowid >= {first}"
        )
        self._count_blank_lines(member, f"fh_{kind}")
        strays = (
            f"select row_no from fh_{kind} where file_no = {member.number}"
            f" and resourceType is distinct from '{kind}'"
        )
        if self._one(f"select count(*) from ({strays})"):
            self._take_lines(member, path, strays)

    def _count_blank_lines(self, member: Member, table: str) -> None:
        """Turn the number of a record into the number of its line."""
        if not member.blank_lines:
            return
        self.con.execute(
            f"""
            update {table} set row_no = row_no + moved.skipped
            from (
                select numbered.rowid as place, gap.skipped
                from {table} as numbered
                asof join (
                    select row_no - n as n_before, max(n) as skipped
                    from (select unnest(?) as row_no, generate_subscripts(?, 1) as n)
                    group by 1
                ) as gap on numbered.row_no > gap.n_before
                where numbered.file_no = {member.number}
            ) as moved
            where {table}.rowid = moved.place
            """,
            [list(member.blank_lines), list(member.blank_lines)],
        )

    # --- everything else ------------------------------------------------------------

    def _document(self, member: Member, path: Path) -> None:
        layout = "array" if member.layout == "array" else "unstructured"
        size = min(MAX_DOCUMENT_BYTES, max(MAX_LINE_BYTES, path.stat().st_size + 1))
        self.con.execute(
            f"insert into fh_text select {member.number}, row_number() over (), 0, null,"
            " json ->> '$.resourceType', json"
            f" from read_json_objects('{_quoted(path)}', format = '{layout}',"
            f" maximum_object_size = {size})"
        )
        counted = f"from fh_text where file_no = {member.number}"
        if not self._one(f"select count(*) {counted} and kind is not null"):
            self._forget(member.number)
            self.said.ignored.append(member.number)

    def _take_lines(self, member: Member, path: Path, wanted: str | None) -> None:
        """Keep lines as JSON; a line that is none is a bad row."""
        con = self.con
        con.execute(
            f"create temp table fh_line as select {member.number} as file_no,"
            " row_number() over () as row_no, json as resource"
            f" from read_json_objects('{_quoted(path)}', {_AS_LINES})"
        )
        self._count_blank_lines(member, "fh_line")
        if wanted:
            con.execute(f"delete from fh_line where row_no not in ({wanted})")
        con.execute(
            "insert into fh_text select file_no, row_no, 0, null,"
            " resource ->> '$.resourceType', resource from fh_line"
            " where json_type(resource) = 'OBJECT'"
        )
        bad = con.execute(
            "select row_no from fh_line where resource is null"
            " or json_type(resource) <> 'OBJECT'"
        ).fetchall()
        con.execute("drop table fh_line")
        if bad:
            table = HOME_TABLE.get(member.first_type, "none")
            con.executemany(
                "insert into fh_bad values (?, ?, ?, 'json_invalid', ?)",
                [
                    (member.number, number, table, line)
                    for number, line in _lines_at(path, {n for (n,) in bad})
                ],
            )

    def _open_bundles(self) -> None:
        """Put the entries of Bundles in their place, of Bundles in Bundles too."""
        con = self.con
        con.execute(
            "create temp table fh_entry (file_no integer, row_no bigint, path bigint[],"
            " bundle_no bigint, full_url varchar, resource json, method varchar,"
            " url varchar, stamp varchar)"
        )
        con.execute(
            "create temp table fh_opened as select file_no, row_no, [row_no] as path,"
            " resource from fh_text where kind = 'Bundle'"
        )
        con.execute("delete from fh_text where kind = 'Bundle'")
        for level in range(_MAX_NESTED_BUNDLES + 1):
            opened = self._one("select count(*) from fh_opened")
            if not opened:
                break
            if level == _MAX_NESTED_BUNDLES:
                con.execute(
                    "insert into fh_bad select file_no, row_no, 'none',"
                    " 'json_too_deep', null from fh_opened"
                )
                break
            con.execute(
                f"""
                insert into fh_entry
                select
                    file_no, row_no, list_append(path, place), (hash(file_no, path) >> 1)::bigint,
                    said.fullUrl, said.resource, upper(said.request.method),
                    said.request.url, coalesce(said.response.lastModified, stamp)
                from (
                    select
                        file_no, row_no, path,
                        coalesce(bundle."timestamp", bundle.meta.lastUpdated) as stamp,
                        unnest(bundle.entry) as said,
                        generate_subscripts(bundle.entry, 1) as place
                    from (
                        select *, json_transform(resource, '{structure(BUNDLE)}')
                            as bundle
                        from fh_opened
                    )
                )
                """
            )
            con.execute(
                "create or replace temp table fh_opened as"
                " select file_no, row_no, path, resource from fh_entry"
                " where resource ->> '$.resourceType' = 'Bundle'"
            )
            con.execute(
                "delete from fh_entry where resource ->> '$.resourceType' = 'Bundle'"
            )
        # An entry is numbered in the order of its member; lines keep their own number.
        con.execute(
            """
            create temp table fh_numbered as
            select * replace (
                coalesce(first.last_line, 0)
                + row_number() over (partition by file_no order by path) as row_no
            )
            from fh_entry
            left join (
                select file_no, max(row_no) as last_line from fh_text group by file_no
            ) as first using (file_no)
            """
        )
        con.execute(
            "insert into fh_delete"
            f" select file_no, row_no, {ref_type('url')}, {ref_id('url')}, stamp"
            " from fh_numbered where method = 'DELETE' and resource is null"
        )
        con.execute(
            "insert into fh_text select file_no, row_no, bundle_no, full_url,"
            " case when resource is null then 'entry without a resource'"
            " else resource ->> '$.resourceType' end, resource from fh_numbered"
            " where not (coalesce(method, '') = 'DELETE' and resource is null)"
        )
        for table in ("fh_entry", "fh_opened", "fh_numbered"):
            con.execute(f"drop table {table}")

    # --- small things ---------------------------------------------------------------

    def _without_mark(self, member: Member) -> Path:
        """Return a copy without its byte order mark, or the member itself."""
        if not member.has_mark:
            return member.path
        copy = self.folder / f"fhir-{member.number}.json"
        with member.path.open("rb") as source, copy.open("wb") as target:
            source.seek(3)
            shutil.copyfileobj(source, target)
        return copy

    def _forget(self, number: int) -> None:
        for table in (*(f"fh_{kind}" for kind in SHAPES), "fh_text", "fh_bad"):
            self.con.execute(f"delete from {table} where file_no = {number}")
        self.con.execute("drop table if exists fh_line")

    def _one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


def take_json(con: duckdb.DuckDBPyConnection, kind: str, source: str) -> None:
    """Add resources that are JSON text to the table of their type.

    Args:
        con: the scratch database.
        kind: the resource type.
        source: SQL of rows with file_no, row_no, bundle_no, full_url and resource.
    """
    shape = SHAPES[kind]
    # A Bundle's entry may have its id in its fullUrl alone.
    taken = ", ".join(
        f"coalesce(r.id, nullif({_URN_ID}, '')) as id" if n == "id" else f'r."{n}"'
        for n in shape
    )
    names = ", ".join(f'"{name}"' for name in shape)
    con.execute(
        f"insert into fh_{kind} (file_no, row_no, bundle_no, full_url, {names})"
        f" select file_no, row_no, bundle_no, full_url, {taken} from ("
        f"select *, json_transform(resource, '{structure(shape)}') as r from {source})"
    )


def ref_type(text: str) -> str:
    """Return SQL of the resource type that a literal reference names."""
    return f"nullif(regexp_extract({text}, '{_LITERAL}', 1), '')"


def ref_id(text: str) -> str:
    """Return SQL of the id that a literal reference names."""
    return f"nullif(regexp_extract({text}, '{_LITERAL}', 2), '')"


def structure(shape: Shape) -> str:
    """Return a shape as the engine's JSON functions take it."""
    return json.dumps(shape).replace("'", "''")


def _lines_at(path: Path, numbers: set[int]) -> list[tuple[int, str]]:
    """Return the text of some lines, to be kept in quarantine."""
    with path.open("rb") as file:
        return [
            (n, line.decode("utf-8", "replace").rstrip("\r\n"))
            for n, line in enumerate(file, start=1)
            if n in numbers
        ]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
