"""Other files of a delivery that a row is looked up in, each read once.

A lookup is a scratch table with one row a key: of several rows the last one counts, and
how many keys had several is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import duckdb

from rapport.ingest.readers import Source
from rapport.ingest.spelling import like_any
from rapport.mapping.vendor import FileMapping, Join, RowFilter, normal_header

# What reads a file or a sheet into ``raw`` and gives its headers; None: it cannot be read.
Reader = Callable[[Source, FileMapping], tuple[str, ...] | None]


@dataclass(frozen=True)
class Lookup:
    """What a join found.

    Attributes:
        table: scratch table: the keys ``k1`` …, the values ``v1`` ….
        headers: the normalised headers of the values, in order.
        n_several: keys that more than one row had.
    """

    table: str
    headers: tuple[str, ...]
    n_several: int

    def place(self, header: str) -> str | None:
        """Return the column of a header."""
        name = normal_header(header)
        return f"v{self.headers.index(name) + 1}" if name in self.headers else None


class Lookups:
    """The lookups of one delivery."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, sources: Sequence[Source], read: Reader
    ) -> None:
        self._con, self._sources, self._read = con, sources, read
        self._found: dict[tuple[str, str], Lookup | None] = {}

    def of(self, join: Join, part: FileMapping) -> Lookup | None:
        """Return what a join looks rows up in, or None when no file of it is there.

        It leaves the scratch tables of the reader changed: look up before reading.
        """
        key = (join.match, repr((join, part.nulls.get("*"))))
        if key not in self._found:
            self._found[key] = self._load(join, part, len(self._found) + 1)
        return self._found[key]

    def _load(self, join: Join, part: FileMapping, number: int) -> Lookup | None:
        con = self._con
        keys = [normal_header(header) for header in join.on.values()]
        pile = f"lookup_{number}_rows"
        headers: tuple[str, ...] = ()
        n_tables = 0
        for source in self._sources:
            if not _is_named(source, join.match):
                continue
            found = self._read(source, part)
            names = header_places(found or ())
            if any(key not in names for key in keys):
                continue
            if not n_tables:
                headers = tuple(names)
                columns = ", ".join(f"v{n + 1} varchar" for n in range(len(headers)))
                con.execute(f"create temp table {pile} (n bigint, {columns})")
            values = ", ".join(
                f"nullif(trim(c{names[h]}), '')" if h in names else "null"
                for h in headers
            )
            kept = " and ".join(
                ["true", *(f"not {skipped(rule, names)}" for rule in join.filter)]
            )
            con.execute(
                f"insert into {pile} select {n_tables}::bigint * 1e12::bigint + row_no,"
                f" {values} from raw where {kept}"
            )
            n_tables += 1
        if not n_tables:
            return None
        return self._one_a_key(pile, headers, keys, number)

    def _one_a_key(
        self, pile: str, headers: tuple[str, ...], keys: list[str], number: int
    ) -> Lookup:
        con = self._con
        places = [f"v{headers.index(key) + 1}" for key in keys]
        selected = ", ".join(f"{place} as k{n + 1}" for n, place in enumerate(places))
        con.execute(
            f"create temp table lookup_{number} as"
            f" select {selected}, * exclude (n, choice, several) from ("
            f" select *, row_number() over (partition by {', '.join(places)}"
            f" order by n desc) as choice, count(*) over (partition by"
            f" {', '.join(places)}) as several from {pile}"
            f" where {' and '.join(f'{place} is not null' for place in places)})"
            " where choice = 1"
        )
        row = con.execute(
            f"select count(*) - (select count(*) from lookup_{number}) from {pile}"
            f" where {' and '.join(f'{place} is not null' for place in places)}"
        ).fetchone()
        assert row is not None
        con.execute(f"drop table {pile}")
        return Lookup(f"lookup_{number}", headers, int(row[0]))


def header_places(headers: tuple[str, ...]) -> dict[str, int]:
    """Return the position of each normalised header; of two alike, the first."""
    places: dict[str, int] = {}
    for place, header in enumerate(headers, start=1):
        places.setdefault(normal_header(header), place)
    return places


def _is_named(source: Source, pattern: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in source.names)


def skipped(rule: RowFilter, places: dict[str, int]) -> str:
    """Return the condition under which a rule leaves a row of ``raw`` out."""
    place = places.get(normal_header(rule.column.removesuffix("?")))
    cell = "''" if place is None else f"coalesce(lower(trim(c{place})), '')"
    if rule.keep:
        return f"(not {like_any(cell, rule.keep)})"
    return like_any(cell, rule.drop)
