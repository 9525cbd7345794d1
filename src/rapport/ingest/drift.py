"""What changed in the shape of an export: named, with the nearest known column.

Only names that the mapping knows are ever said; a column it has no word for is said by
its place (``column_7``), because a header may be a patient's row.
"""

from __future__ import annotations

from collections.abc import Container

import duckdb

from rapport.ingest.cells import Cell, with_parts
from rapport.mapping import FileMapping, Table
from rapport.mapping.vendor import is_unwanted, normal_header
from rapport.state import Notice

_MOST_COMPARED = 100
_LONGEST_COMPARED = 64
_FEWEST_VALUES = 3


def drift_of_header(
    file: str,
    part: FileMapping,
    headers: tuple[str, ...],
    before: tuple[str, ...] | None,
    used: set[str],
    known: Container[str],
) -> tuple[list[Notice], tuple[str, ...]]:
    """Hold a header against the mapping, and against the delivery before.

    Args:
        file: opaque name of the file.
        part: what the mapping says of it.
        headers: its header.
        before: the known columns of the delivery before, in their order.
        used: the normalised headers that are read for the table.
        known: the headers that any part of the mapping has a word for.

    Returns:
        The notices, and the known columns in the order of this file.
    """
    dropped = {normal_header(header) for header in part.drop}
    wanted = used | {
        name
        for name in part.known_headers().names - dropped
        if not {"*", "{", "."} & set(name)
    }
    notices: list[Notice] = []
    columns: list[str] = []
    unknown: dict[int, str] = {}

    def say(column: str, reason: str) -> None:
        notices.append(Notice(file, part.table, column, reason, 0))

    for place, header in enumerate(headers, start=1):
        name = normal_header(header)
        if name in wanted and name not in columns:
            columns.append(name)
        elif name in wanted:
            say(f"column_{place}", "column_twice")
        elif name in known or is_unwanted(name):
            say(f"column_{place}", "column_dropped")
        elif name:
            unknown[place] = name
            say(f"column_{place}", "column_new")
    absent = wanted - set(columns)
    renamed = _nearest(absent, unknown)
    for name, place in sorted(renamed.items()):
        say(f"{name}~column_{place}", "column_renamed")
    for name in before or ():
        if name in absent and name not in renamed:
            say(name, "column_missing")
    shared = [name for name in before or () if name in columns]
    if shared != [name for name in columns if name in shared]:
        say("", "columns_reordered")
    return notices, tuple(columns)


def _nearest(absent: set[str], unknown: dict[int, str]) -> dict[str, int]:
    """Return, for absent columns, the place of the unknown header that is near."""
    found = sorted(
        (distance, name, place)
        for name in absent
        for place, header in list(unknown.items())[:_MOST_COMPARED]
        if (distance := edit_distance(name, header)) <= 1 + len(name) // 5
    )
    nearest: dict[str, int] = {}
    for _, name, place in found:
        if name not in nearest and place not in nearest.values():
            nearest[name] = place
    return nearest


def edit_distance(one: str, other: str) -> int:
    """Count the letters to add, drop or change to make one word of another.

    Source: Levenshtein 1966.
    """
    one, other = one[:_LONGEST_COMPARED], other[:_LONGEST_COMPARED]
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        here = [row]
        for column, against in enumerate(other, start=1):
            here.append(
                min(
                    above[column] + 1,
                    here[-1] + 1,
                    above[column - 1] + (letter != against),
                )
            )
        above = here
    return above[-1]


def drift_of_values(
    con: duckdb.DuckDBPyConnection, file: str, table: Table, cells: dict[str, Cell]
) -> list[Notice]:
    """Name columns of which not one value could be read: another type than before.

    Args:
        con: the scratch database, with ``cell`` of one file in it.
        file: opaque name of the file.
        table: the canonical table.
        cells: the columns in which something could not be read.
    """
    notices = []
    for name, cell in cells.items():
        wrong = [
            condition
            for reason, condition in (*cell.bad, *cell.notices)
            if reason.endswith("_unreadable")
        ]
        if not wrong:
            continue
        row = con.execute(
            f"select count({name}), count(*) filter (where {' or '.join(wrong)})"
            f" from {with_parts([cell])} as cell"
        ).fetchone()
        assert row is not None
        n_values, n_wrong = row
        if n_values >= _FEWEST_VALUES and n_wrong == n_values:
            notices.append(Notice(file, table.name, name, "column_retyped", n_wrong))
    return notices
