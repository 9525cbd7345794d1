"""The files of a package: the same bytes for the same snapshot, request and key (D)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

from rapport.errors import ExtractRefused
from rapport.extracts.codes import meaning
from rapport.extracts.columns import (
    ALL_TABLES,
    PRIMARY_KEYS,
    PSEUDONYM,
    Column,
)
from rapport.extracts.levels import domain
from rapport.files import private_folder

ROW_GROUP = 100_000
# A cell that a spreadsheet would run; a negative number is none (OWASP, CSV injection).
FORMULA = r"^[=+\-@\t\r＝＋－＠]"
NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_TYPES = {
    "string": "varchar",
    "integer": "integer",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
}


@dataclass(frozen=True)
class Field:
    """One column as released: what the codebook and the descriptor say of it."""

    table: str
    column: Column
    level: int
    values: tuple[str, ...]
    low: float | None
    high: float | None
    has_empty: bool
    suppressed_n: int

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Each code that may occur, with its meaning; none for numbers and pseudonyms."""
        is_flag = self.column.type == "boolean"
        values = ("true", "false") if is_flag else self.values
        return [(code, meaning(self.table, self.column, code)) for code in values]

    @property
    def description(self) -> str:
        """The column's sentence, with how it was coarsened."""
        coarse = f" Coarsened to level {self.level}." if self.level else ""
        return self.column.description + coarse


def fields_of(
    con: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Sequence[str]],
    levels: Mapping[str, int],
    suppressed: Mapping[str, int],
) -> list[Field]:
    """Describe every released column by the tables in ``data``."""
    found = []
    for table, names in tables.items():
        for name in names:
            column = next(c for c in ALL_TABLES[table] if c.name == name)
            level = levels.get(name, 0) if column.kind == "qi" else 0
            found.append(
                _field(con, table, column, level, suppressed.get(f"{table}.{name}", 0))
            )
    return found


def _field(
    con: duckdb.DuckDBPyConnection, table: str, column: Column, level: int, hidden: int
) -> Field:
    name = column.name
    row = con.execute(
        f"select count(*) filter (where {name} is null) from data.{table}"
    ).fetchone()
    has_empty = bool(row and row[0])
    values: tuple[str, ...] = ()
    low = high = None
    if column.type == "string" and not name.endswith("_id"):
        seen = tuple(
            r[0]
            for r in con.execute(
                f"select distinct {name} from data.{table} where {name} is not null"
                " order by 1"
            ).fetchall()
        )
        if column.kind == "qi":
            values = domain(name, level, seen if level else (*column.codes, *seen))
        else:
            values = tuple(sorted({*column.codes, *seen}))
    elif column.type in ("integer", "number"):
        row = con.execute(f"select min({name}), max({name}) from data.{table}").fetchone()  # fmt: skip
        low, high = row if row else (None, None)
    return Field(table, column, level, values, low, high, has_empty, hidden)


def stop_on_formula(con: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Stop when a cell would run in a spreadsheet; nothing is prefixed or altered.

    Raises:
        ExtractRefused: with table, column and row, never the cell (exit 3).
    """
    found = []
    for table in tables:
        for column, row in formulas(con, table):
            found.append(f"{table}.{column}: formula (row {row})")
    if found:
        raise ExtractRefused(
            "\n".join(["a cell of the package would run in a spreadsheet:", *found]),
            reason="extract_formula",
        )


def formulas(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, int]]:
    """List (column, first row, the header being 1) of cells that look like a formula."""
    columns = con.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'data' and table_name = ? order by ordinal_position",
        [table],
    ).fetchall()
    found = []
    for name, kind in columns:
        if re.match(FORMULA, name):
            found.append((name, 1))
        if kind != "VARCHAR":
            continue
        is_formula = "regexp_matches(cell, ?) and not regexp_matches(cell, ?)"
        at = first_row(con, table, name, is_formula, [FORMULA, NUMBER])
        if at is not None:
            found.append((name, at))
    return found


def first_row(
    con: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    condition: str,
    values: Sequence[Any],
) -> int | None:
    """Return the first row (the header being 1) whose ``cell`` meets a condition.

    The few distinct cells are judged first: rows are numbered only where one meets it.
    """
    own = f'data."{table}" where "{column}" is not null'
    row = con.execute(
        f'select count(*) from (select distinct "{column}" as cell from {own})'
        f" where {condition}",
        list(values),
    ).fetchone()
    if not row or not row[0]:
        return None
    row = con.execute(
        f'select min(row_no) from (select "{column}" as cell,'
        f' row_number() over () + 1 as row_no from data."{table}")'
        f" where cell is not null and {condition}",
        list(values),
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else None


def write_tables(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    fields: Sequence[Field],
    formats: Sequence[str],
    day: date,
) -> None:
    """Write each table of ``data`` in every format, rows in the order they are laid.

    Args:
        con: the connection with ``data``.
        folder: the package's ``data`` folder.
        fields: the released columns.
        formats: parquet and csv always; sav and dta where asked.
        day: the day that SPSS's and Stata's files carry in place of the clock.
    """
    private_folder(folder)
    con.execute("set threads = 1")
    con.execute("set preserve_insertion_order = true")
    for table in dict.fromkeys(field.table for field in fields):
        con.execute(
            f"copy data.{table} to '{folder / f'{table}.parquet'}'"
            f" (format parquet, compression zstd, row_group_size {ROW_GROUP})"
        )
        con.execute(
            f"copy data.{table} to '{folder / f'{table}.csv'}'"
            " (format csv, header true, delimiter ',', nullstr '')"
        )
        own = [field for field in fields if field.table == table]
        if "sav" in formats or "dta" in formats:
            _write_statistical(con, folder, table, own, formats, day)


def _write_statistical(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    table: str,
    fields: Sequence[Field],
    formats: Sequence[str],
    day: date,
) -> None:
    """Write SPSS and Stata: numbers as doubles, yes/no as 1/0, empty as missing."""
    import pyreadstat

    def read(field: Field) -> str:
        if field.column.type in ("integer", "number", "boolean"):
            return f"{field.name}::double as {field.name}"
        if field.column.type == "date":
            return f"strftime({field.name}, '%Y-%m-%d') as {field.name}"
        return f"coalesce({field.name}, '') as {field.name}"

    frame = con.execute(
        f"select {', '.join(read(f) for f in fields)} from data.{table}"
    ).df()
    for field in fields:
        if field.column.type in ("string", "date"):
            frame[field.name] = frame[field.name].fillna("").astype(object)
    labels: list[str | None] = [field.description[:79] for field in fields]
    yes_no: dict[str, dict[int | float, str]] = {
        f.name: {0: "false", 1: "true"} for f in fields if f.column.type == "boolean"
    }
    if "sav" in formats:
        path = folder / f"{table}.sav"
        pyreadstat.write_sav(
            frame, str(path), column_labels=labels, variable_value_labels=yes_no
        )
        _overwrite(path, 92, f"{day:%d %b %y}00:00:00".encode())
    if "dta" in formats:
        path = folder / f"{table}.dta"
        pyreadstat.write_dta(
            frame, str(path), column_labels=labels, variable_value_labels=yes_no
        )
        content = path.read_bytes()
        at = content.index(b"<timestamp>") + len(b"<timestamp>") + 1
        _overwrite(path, at, f"{day:%d %b %Y} 00:00".encode())


def _overwrite(path: Path, at: int, said: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(said)


def read_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Lay the written Parquet files in ``data`` and return their tables."""
    con.execute("create schema if not exists data")
    found = []
    for path in sorted(folder.glob("*.parquet")):
        table = path.stem
        if table not in ALL_TABLES:
            continue
        con.execute(f'drop table if exists data."{table}"')
        con.execute(
            f'create table data."{table}" as select * from read_parquet(?)', [str(path)]
        )
        found.append(table)
    return found


def csv_differences(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> int:
    """Count the rows in which a CSV file and the table in ``data`` differ."""
    columns = con.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'data' and table_name = ? order by ordinal_position",
        [table],
    ).fetchall()
    try:
        con.execute(
            "create or replace temp table said as select * from read_csv(?,"
            " header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '',"
            " auto_detect = false, columns = ?)",
            [str(path), dict(columns)],
        )
    except duckdb.Error:
        row = con.execute(f'select count(*) from data."{table}"').fetchone()
        return max(1, int(row[0]) if row else 1)
    if _is_same_row_by_row(con, table, [name for name, _ in columns]):
        return 0
    row = con.execute(
        f"""
        select count(*) from (
            (select * from said except all select * from data."{table}")
            union all
            (select * from data."{table}" except all select * from said)
        )
        """
    ).fetchone()
    return int(row[0]) if row else 0


def _is_same_row_by_row(
    con: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]
) -> bool:
    """Tell whether ``said`` has the table's rows in its order, as a sound package does."""
    differ = " or ".join(
        f'said."{name}" is distinct from own."{name}"' for name in columns
    )
    row = con.execute(
        f'select (select count(*) from said) = (select count(*) from data."{table}")'
        f' and not exists (select 1 from said positional join data."{table}" as own'
        f" where {differ or 'false'})"
    ).fetchone()
    return bool(row and row[0])


# --- words --------------------------------------------------------------------------


def codebook_csv(fields: Sequence[Field]) -> str:
    """Return the codebook, one line a column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["table", "column", "type", "description", "unit", "values", "missing",
         "suppressed_n", "source"]
    )  # fmt: skip
    for field in fields:
        writer.writerow(
            [
                field.table,
                field.name,
                field.column.type,
                field.description,
                field.column.unit,
                ";".join(value_words(field)),
                "empty" if field.has_empty else "",
                field.suppressed_n,
                field.column.source,
            ]
        )
    return out.getvalue()


def value_words(field: Field) -> list[str]:
    """List a column's values, a superset of what occurs, or their range."""
    if field.values:
        return list(field.values)
    if field.column.type == "boolean":
        return ["true", "false"]
    if field.low is not None and field.high is not None:
        return [f"{field.low:g} to {field.high:g}"]
    if field.name.endswith("_id"):
        return ["16 letters A-Z and 2-7"]
    return ["a day, YYYY-MM-DD"] if field.column.type == "date" else ["empty"]


def descriptor(
    name: str,
    title: str,
    fields: Sequence[Field],
    folder: Path,
) -> dict[str, Any]:
    """Return ``datapackage.json`` (Data Package v2): a resource for each CSV."""
    tables = list(dict.fromkeys(field.table for field in fields))
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": name,
        "title": title,
        "resources": [
            _resource(table, [f for f in fields if f.table == table], tables, folder)
            for table in tables
        ],
    }


def _resource(
    table: str, fields: Sequence[Field], tables: Sequence[str], folder: Path
) -> dict[str, Any]:
    path = folder / "data" / f"{table}.csv"
    content = path.read_bytes()
    names = {field.name for field in fields}
    schema: dict[str, Any] = {
        "fields": [_schema_field(field) for field in fields],
        "missingValues": [""],
    }
    key = PRIMARY_KEYS.get(table)
    if key and names.issuperset(key):
        schema["primaryKey"] = list(key)
    links = []
    for column, other in (("client_id", "clients"), ("episode_id", "episodes")):
        if column in names and other in tables and other != table:
            reference = {"resource": other, "fields": [column]}
            links.append({"fields": [column], "reference": reference})
    if links:
        schema["foreignKeys"] = links
    return {
        "name": table,
        "type": "table",
        "path": f"data/{table}.csv",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(content),
        "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "schema": schema,
    }


def _schema_field(field: Field) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    if field.values:
        constraints["enum"] = list(field.values)
    if field.low is not None and field.high is not None:
        constraints["minimum"] = field.low
        constraints["maximum"] = field.high
    if not field.has_empty:
        constraints["required"] = True
    if field.name in ("client_id", "episode_id"):
        constraints["pattern"] = PSEUDONYM
    said: dict[str, Any] = {
        "name": field.name,
        "type": field.column.type,
        "description": field.description,
    }
    if constraints:
        said["constraints"] = constraints
    if field.values:
        said["categories"] = [
            {"value": code, "label": text} if text else {"value": code}
            for code, text in field.codes
        ]
    return said


def rendered(template: str, **values: Any) -> str:
    """Return a page or a text of the package."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("rapport.extracts"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def written_json(said: Mapping[str, Any]) -> str:
    """Return JSON as files of a package hold it: readable, keys in order."""
    return json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def file_sums(folder: Path, *, but: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return SHA-256 and size of every file below a folder, by its path."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in but:
            content = path.read_bytes()
            found[name] = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
    return dict(sorted(found.items()))


def sums_text(sums: Mapping[str, Mapping[str, Any]]) -> str:
    """Return ``SHA256SUMS`` as ``sha256sum -c`` reads it."""
    return "".join(f"{said['sha256']}  {path}\n" for path, said in sums.items())


def build_digest(folder: Path) -> str:
    """Return one digest over every file of a build: what an approval is bound to."""
    return hashlib.sha256(sums_text(file_sums(folder)).encode()).hexdigest()
