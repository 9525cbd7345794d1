"""How the door reads a cell, by the kind of its column: SQL over text cells.

Each kind gives the columns that bronze keeps, and tests that make a bad row (when the
row can't stand without the value) or a notice (when it is loaded without it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rapport.ingest.spelling import is_one_of
from rapport.mapping import Column

MAX_ID, MAX_CODE, MAX_TEXT = 128, 64, 128
_TIMESTAMP = (
    r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?)?"
    r"\s?(Z|z|[+-]\d{2}:?\d{2}|[+-]\d{2})?$"
)
_DATE = r"^(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}.*)?$"
_BIRTH = r"^(\d{4})(?:-\d{2}(?:-\d{2}(?:[T ].*)?)?)?$"
_SHAPES = {
    # Measurement A: passes through, so that only its length and signs can be held.
    "version": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$",
    # Neither a name nor a record number passes: 90837, 90837-95, H0004:HO, 0362T, IND60.
    "service_code": r"^[A-Za-z]{0,4}-?[0-9]{2,5}[A-Za-z]?([:-][A-Za-z0-9]{2}){0,4}$",
    "source": r"^[a-z0-9][a-z0-9_-]{0,40}$",
}
ICD = re.compile(
    r"^([A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?|[0-9A-Z]{2}\d[0-9A-Z](\.[0-9A-Z]{1,2})?"
    r"|\d{3}(\.\d{1,2})?)$"
)
SNOMED = re.compile(r"^\d{6,18}$")


@dataclass(frozen=True)
class Cell:
    """What a column becomes.

    Attributes:
        outputs: (bronze column, SQL type, SQL expression).
        parts: (name, SQL) taken from the text once, for the other expressions to use.
        bad: (reason, SQL condition): the row goes to quarantine.
        notices: (reason, SQL condition): counted, the row is loaded.
        spelled: (kind, SQL text) whose distinct spellings are translated once.
    """

    outputs: list[tuple[str, str, str]]
    bad: list[tuple[str, str]] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)
    spelled: tuple[str, str] | None = None
    parts: list[tuple[str, str]] = field(default_factory=list)


def cell_of(column: Column, text: str, alias: str) -> Cell:
    """Return how a column is read from an SQL expression of its text.

    Args:
        column: the canonical column.
        text: SQL that gives the trimmed text, or null when empty.
        alias: the joined row of the spelling table for this column.
    """
    cell = _READERS[column.kind](column, text, alias)
    if column.required:
        cell.bad.insert(0, ("required_value_missing", f"{text} is null"))
    return cell


def absent_cell(column: Column) -> Cell:
    """Return what a column becomes in a file that does not have it."""
    cell = _READERS[column.kind](column, "null::varchar", "absent")
    if column.kind == "item_value":
        return Cell([("value", "DOUBLE", "null"), ("value_kind", "VARCHAR", "'empty'")])
    return Cell([(name, type_, "null") for name, type_, _ in cell.outputs])


def with_parts(cells: Iterable[Cell]) -> str:
    """Return a subquery of the rows of ``cell`` and the parts of cells, each taken once."""
    layers: list[list[str]] = [[], []]
    for cell in cells:
        for n, (name, sql) in enumerate(cell.parts):
            layers[min(n, 1)].append(f"{sql} as {name}")
    query = "select * from cell where kind = 'row'"
    for layer in layers:
        if layer:
            query = f"select *, {', '.join(layer)} from ({query}) as cell"
    return f"({query})"


def _id(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [(column.key_name, "VARCHAR", f"{alias}.value")],
        bad=[("value_too_long", f"length({text}) > {MAX_ID}")],
        spelled=(f"id:{column.of}", text),
    )


def _code(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [
            (column.name, "VARCHAR", f"{alias}.value"),
            (f"{column.name}_raw", "VARCHAR", f"{alias}.token"),
        ],
        bad=[("value_too_long", f"length({text}) > {MAX_CODE}")],
        notices=[("code_unknown", f"{alias}.token is not null")],
        spelled=(f"{column.kind}:{column.of or column.name}:{column.name}", text),
    )


def _instrument(column: Column, text: str, alias: str) -> Cell:
    cell = _code(column, text, alias)
    return Cell(
        cell.outputs,
        cell.bad,
        [("instrument_unknown", f"{alias}.token is not null")],
        cell.spelled,
    )


def _item(column: Column, text: str, alias: str) -> Cell:
    cell = _code(column, text, alias)
    return Cell(
        cell.outputs[:1],
        cell.bad,
        [("item_unknown", f"{alias}.token is not null")],
        cell.spelled,
    )


def _date(column: Column, text: str, alias: str) -> Cell:
    value = f"try_cast(nullif(regexp_extract({text}, '{_DATE}', 1), '') as date)"
    wrong = [("date_unreadable", f"{text} is not null and {value} is null")]
    return Cell(
        [(column.name, "DATE", value)],
        bad=wrong if column.required else [],
        notices=[] if column.required else wrong,
    )


def _birth_date(column: Column, text: str, alias: str) -> Cell:
    value = f"try_cast(nullif(regexp_extract({text}, '{_BIRTH}', 1), '') as integer)"
    return Cell(
        [("birth_year", "INTEGER", value)],
        notices=[("date_unreadable", f"{text} is not null and {value} is null")],
    )


def _postal_code(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [("zip3", "VARCHAR", f"{alias}.value")],
        bad=[("value_too_long", f"length({text}) > {MAX_CODE}")],
        spelled=("postal_code:", text),
    )


def _written(column: Column, text: str) -> list[tuple[str, str]]:
    """Return the parts of a timestamp as it is written: wall clock, offset, bareness."""
    name = column.name
    found = (
        f"regexp_extract({text}, '{_TIMESTAMP}', ['day', 'clock', 'seconds', 'zone'])"
    )
    part = f"({name}_found)"
    digits = f"replace({part}.zone, ':', '')"
    wall = (
        f"try_cast(nullif({part}.day, '') || ' ' || coalesce(nullif({part}.clock, ''),"
        f" '00:00') || coalesce(nullif({part}.seconds, ''), ':00') as timestamp)"
    )
    offset = (
        f"case when {part}.zone = '' then null when upper({part}.zone) = 'Z' then 0 else"
        f" (case when left({part}.zone, 1) = '-' then -1 else 1 end)"
        f" * (60 * try_cast(substr({digits}, 2, 2) as integer)"
        f" + coalesce(try_cast(nullif(substr({digits}, 4, 2), '') as integer), 0)) end"
    )
    return [
        (f"{name}_found", found),
        (f"{name}_wall", wall),
        (f"{name}_offset", offset),
        (f"{name}_bare", f"{part}.clock = ''"),
    ]


def _timestamp(column: Column, text: str, alias: str) -> Cell:
    name = column.name
    wall, offset, bare = (f"{name}_wall", f"{name}_offset", f"{name}_bare")
    # A date with an offset but no time says nothing that can be placed.
    unreadable = (
        f"{text} is not null and ({wall} is null or ({bare} and {offset} is not null))"
    )
    keep = f"not ({unreadable})"
    wrong = [("timestamp_unreadable", unreadable)]
    return Cell(
        [
            (f"{name}_wall", "TIMESTAMP", f"case when {keep} then {wall} end"),
            (
                f"{name}_offset_minutes",
                "INTEGER",
                f"case when {keep} then {offset} end",
            ),
            (f"{name}_is_date", "BOOLEAN", f"case when {keep} then {bare} end"),
        ],
        bad=wrong if column.required else [],
        notices=[] if column.required else wrong,
        parts=_written(column, text),
    )


def _utc(column: Column, text: str, alias: str) -> Cell:
    wall, offset = f"{column.name}_wall", f"{column.name}_offset"
    return Cell(
        [(column.name, "TIMESTAMP", f"{wall} - to_minutes(coalesce({offset}, 0))")],
        notices=[("timestamp_unreadable", f"{text} is not null and {wall} is null")],
        parts=_written(column, text),
    )


def _zone(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [(column.name, "VARCHAR", f"{alias}.value")],
        notices=[("zone_unknown", f"{text} is not null and {alias}.value is null")],
        spelled=("zone:", text),
    )


def _number(column: Column, text: str, alias: str) -> Cell:
    number = f"try_cast({text} as double)"
    value = f"case when isfinite({number}) then {number} end"
    return Cell(
        [(column.name, "DOUBLE", value)],
        notices=[("number_unreadable", f"{text} is not null and ({value}) is null")],
    )


def _integer(column: Column, text: str, alias: str) -> Cell:
    value = f"try_cast(try_cast({text} as double) as integer)"
    return Cell(
        [(column.name, "INTEGER", value)],
        notices=[("number_unreadable", f"{text} is not null and {value} is null")],
    )


def _item_value(column: Column, text: str, alias: str) -> Cell:
    number = f"try_cast({text} as double)"
    is_number = f"coalesce(isfinite({number}), false)"
    kind = (
        f"case when {text} is null then 'empty' when {is_number} then 'number'"
        " else 'text' end"
    )
    return Cell(
        [
            ("value", "DOUBLE", f"case when {is_number} then {number} end"),
            ("value_kind", "VARCHAR", kind),
        ],
        bad=[("value_too_long", f"length({text}) > {MAX_CODE}")],
    )


def _boolean(column: Column, text: str, alias: str) -> Cell:
    said = f"{column.name}_said"
    is_true = is_one_of(f"lower({text})", ("true", "t", "yes", "y", "1"))
    is_false = is_one_of(f"lower({text})", ("false", "f", "no", "n", "0"))
    value = f"case when {is_true} then true when {is_false} then false end"
    return Cell(
        [(column.name, "BOOLEAN", said)],
        notices=[("boolean_unreadable", f"{text} is not null and {said} is null")],
        parts=[(said, value)],
    )


def _source(column: Column, text: str, alias: str) -> Cell:
    """Another source's name: part of the other client's key, and kept nowhere else."""
    return Cell([], bad=_shaped(column, text, alias).bad)


def _shaped(column: Column, text: str, alias: str) -> Cell:
    """Free codes that are published or compared: kept only in the shape of a code."""
    good = f"regexp_matches({text}, '{_SHAPES[column.kind]}')"
    cell = Cell(
        [(column.name, "VARCHAR", f"case when {good} then {text} end")],
        bad=[("value_too_long", f"length({text}) > {MAX_CODE}")],
    )
    wrong = ("code_unreadable", f"{text} is not null and not {good}")
    (cell.bad if column.required else cell.notices).append(wrong)
    return cell


def _diagnosis_codes(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [(column.name, "VARCHAR", f"{alias}.value")],
        bad=[("value_too_long", f"length({text}) > {4 * MAX_CODE}")],
        notices=[("code_unknown", f"{alias}.token is not null")],
        spelled=("diagnosis_codes:", text),
    )


def _text(column: Column, text: str, alias: str) -> Cell:
    return Cell(
        [(column.name, "VARCHAR", text)],
        bad=[("value_too_long", f"length({text}) > {MAX_TEXT}")],
    )


_READERS: dict[str, Callable[[Column, str, str], Cell]] = {
    "id": _id,
    "source": _source,
    "date": _date,
    "birth_date": _birth_date,
    "postal_code": _postal_code,
    "timestamp": _timestamp,
    "utc": _utc,
    "zone": _zone,
    "code": _code,
    "codes": _code,
    "instrument": _instrument,
    "item": _item,
    "item_value": _item_value,
    "version": _shaped,
    "service_code": _shaped,
    "diagnosis_codes": _diagnosis_codes,
    "diagnosis_code": _code,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "text": _text,
}
