"""From raw cells to canonical text cells, as a mapping says: SQL over ``raw``.

This is the seam between the readers, which leave a table ``raw`` (``row_no``, ``c1`` …
``cn``), and the typed path of the door, which takes a table ``cell`` (``row_no``,
``kind`` and one text a canonical column).
"""

from __future__ import annotations

from rapport.ingest.translate import OTHER_SOURCE_MARK
from rapport.mapping import FileMapping, RowFilter, Table
from rapport.mapping.vendor import normal_header


def header_places(headers: tuple[str, ...]) -> dict[str, int]:
    """Return the position of each normalised header; of two alike, the first."""
    places: dict[str, int] = {}
    for place, header in enumerate(headers, start=1):
        places.setdefault(normal_header(header), place)
    return places


def missing_required(
    table: Table, part: FileMapping, places: dict[str, int]
) -> list[str]:
    """Return the required columns that the file cannot give, as the mapping reads it."""
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


def canonical_texts(
    table: Table, part: FileMapping, places: dict[str, int]
) -> dict[str, str]:
    """Return, for each canonical column, SQL of its trimmed text over ``raw``."""
    texts = {}
    for column in table.columns:
        name = column.name
        header = part.header_of(name)
        if name in part.constants:
            sql = literal(part.constants[name])
        elif name in part.compose:
            cells = [f"trim(c{places[normal_header(h)]})" for h in part.compose[name]]
            sql = " || '|' || ".join(cells)
        elif header is not None and normal_header(header) in places:
            sql = f"nullif(trim(c{places[normal_header(header)]}), '')"
        else:
            sql = "null::varchar"
        if name in part.codes:
            whens = " ".join(
                f"when {literal(vendor)} then {literal(code)}"
                for vendor, code in part.codes[name].items()
            )
            sql = f"case {sql} {whens} else {sql} end"
        texts[name] = sql
    if table.name == "client_links":
        other, mark = texts["other_client_id"], f"chr({ord(OTHER_SOURCE_MARK)})"
        texts["other_client_id"] = f"{texts['other_source']} || {mark} || {other}"
    return texts


def filter_sql(rule: RowFilter, places: dict[str, int]) -> str:
    """Return the SQL condition under which a named rule leaves a row out."""
    place = places.get(normal_header(rule.column))
    cell = "null" if place is None else f"trim(c{place})"
    values = ", ".join(literal(value) for value in (rule.keep or rule.drop))
    if rule.keep:
        return f"coalesce({cell} not in ({values}), true)"
    return f"coalesce({cell} in ({values}), false)"


def literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
