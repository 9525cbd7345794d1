"""Three remembered points of a course, and how many persons have all three (C5.7).

A point is a (column, instrument or method, place in time, value) as published. A triple is
looked for only among the holders of its rarest point, so the work grows with the rows and
not with the square of the persons. ADR 51 has the designs that were tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import comb

import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from rapport.extracts.columns import SCORES

KNOWN_POINTS = 3
MAX_TRIPLES = 50
# Sets are held against each other in pieces of a megabyte, which a cache can hold.
_WORDS_AT_ONCE = 1 << 17

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """Who holds which point.

    Attributes:
        starts: where each person's points start in ``of``; one more at the end.
        of: the numbers of each person's points, ascending within a person.
        n_holders: how many persons hold each point.
    """

    starts: Ints
    of: Ints
    n_holders: Ints


@dataclass(frozen=True)
class _Kind:
    """SQL of one kind of point: whose, where in time, which value."""

    table: str
    place: str
    value: str
    name: str
    who: str = "''"

    @property
    def told(self) -> str:
        return (
            f"select client_id, {self.who} as who, {self.place} as place,"
            f" {self.value} as value from data.{self.table}"
            f" where {self.value} is not null"
        )


def points_of(
    con: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[str]]
) -> Points:
    """Return the points of each person of ``data.clients``, persons by ``client_id``."""
    con.execute(
        "create or replace temp table person as select client_id,"
        " (row_number() over (order by client_id) - 1)::integer as person"
        " from data.clients"
    )
    row = con.execute("select count(*) from person").fetchone()
    n = int(row[0]) if row else 0
    kinds = _kinds(tables)
    if not kinds:
        return _by_person(np.zeros(0, np.int64), np.zeros(0, np.int64), n)
    # Kind by kind a point stays what it is, a tuple of numbers and codes: only the few
    # distinct ones are spelled out, by which all are put in one order.
    for i, kind in enumerate(kinds):
        con.execute(
            f"create or replace temp table point_{i} as select who, place, value,"
            f" {kind.name} as name from (select distinct who, place, value"
            f" from ({kind.told}))"
        )
    names = " union all ".join(f"select name from point_{i}" for i in range(len(kinds)))
    con.execute(
        "create or replace temp table point as select name,"
        f" (row_number() over (order by name) - 1)::integer as number from ({names})"
    )
    found = con.execute(
        " union all ".join(
            "select distinct person.person, point.number"
            f" from ({kind.told}) as told"
            " inner join person on told.client_id = person.client_id"
            f" inner join point_{i} as own on told.who = own.who"
            " and told.value = own.value and told.place is not distinct from own.place"
            " inner join point on own.name = point.name"
            for i, kind in enumerate(kinds)
        )
    ).fetchnumpy()
    for name in ("person", "point", *(f"point_{i}" for i in range(len(kinds)))):
        con.execute(f"drop table {name}")
    return _by_person(np.asarray(found["person"]), np.asarray(found["number"]), n)


def _kinds(tables: Mapping[str, Sequence[str]]) -> list[_Kind]:
    """List what an acquaintance may know, by the columns that are there."""

    def place(table: str, week: str, session: str) -> str | None:
        columns = tables.get(table, [])
        return week if week in columns else session if session in columns else None

    def name(*parts: str) -> str:
        return f"concat_ws('|', {', '.join(parts)}, nullif(value::varchar, ''))"

    where = "coalesce(place::varchar, '')"
    found = []
    at = place("sessions", "week_index", "session_number")
    if at and "status" in tables["sessions"]:
        found.append(_Kind("sessions", at, "status", name("'s'", where)))
    at = place("alliance", "week_index", "session_number")
    for score in SCORES:
        if at and score in tables["alliance"]:
            said = name("'a'", "who", where, f"'{score}'")
            found.append(_Kind("alliance", at, score, said, "instrument"))
    at = place("ruptures", "onset_week", "onset_session_number")
    if at:
        said = name("'r'", "who", where)
        found.append(_Kind("ruptures", at, "''", said, "method"))
        if "strength" in tables["ruptures"]:
            found.append(_Kind("ruptures", at, "strength", said, "method"))
    return found


def _by_person(person: Ints, number: Ints, n: int) -> Points:
    n_points = int(number.max(initial=-1)) + 1
    key = person.astype(np.int64) * max(n_points, 1) + number
    key.sort()
    of = key % max(n_points, 1)
    starts = np.searchsorted(key, np.arange(n + 1, dtype=np.int64) * max(n_points, 1))
    return Points(starts.astype(np.int64), of, np.bincount(of, minlength=n_points))


def drawn_triples(digest: str, ids: Sequence[str], points: Points) -> tuple[Ints, Ints]:
    """Draw each person's triples of points; who has fewer knows fewer, by repeating one.

    Returns:
        whose each triple is, and its three points (n x 3), -1 where there is none.
    """
    n_each = np.diff(points.starts)
    drawn = [
        _ranks(digest, id_, n) for id_, n in zip(ids, n_each.tolist(), strict=True)
    ]
    owner = np.repeat(np.arange(len(ids)), [len(ranks) for ranks in drawn])
    rank = np.concatenate(drawn)
    # The rank of a < b < c among all triples is C(a,1) + C(b,2) + C(c,3).
    most = int(n_each.max()) + 1
    twos = np.array([comb(i, 2) for i in range(most)], dtype=np.int64)
    threes = np.array([comb(i, 3) for i in range(most)], dtype=np.int64)
    third = np.searchsorted(threes, rank, side="right") - 1
    rest = rank - threes[third]
    second = np.searchsorted(twos, rest, side="right") - 1
    of = np.stack([rest - twos[second], second, third], axis=1)
    few = n_each[owner][:, None]
    repeated = np.minimum(np.arange(KNOWN_POINTS), np.maximum(few - 1, 0))
    of = np.where(few < KNOWN_POINTS, repeated, of)
    if len(points.of) == 0:
        return owner, np.full(of.shape, -1, dtype=np.int64)
    at = np.minimum(points.starts[owner][:, None] + of, len(points.of) - 1)
    return owner, np.where(few == 0, -1, points.of[at])


@lru_cache(maxsize=1 << 18)
def _ranks(digest: str, client_id: str, n_points: int) -> Ints:
    """Draw which of a person's triples are looked at; the same at every rung."""
    if n_points <= KNOWN_POINTS:
        return np.zeros(1, dtype=np.int64)
    total = comb(n_points, KNOWN_POINTS)
    if total <= MAX_TRIPLES:
        return np.arange(total, dtype=np.int64)
    seed = hashlib.sha256((digest + client_id).encode()).hexdigest()
    draw = np.random.Generator(np.random.PCG64(int(seed[:16], 16)))
    return draw.choice(total, MAX_TRIPLES, replace=False)


def counted(
    points: Points, owner: Ints, triples: Ints, classes: Ints
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Count the persons that hold each triple, the rarest point first.

    Args:
        points: who holds which point.
        owner: whose each triple is.
        triples: three points each; -1 where there is none.
        classes: each person's class by the quasi-identifiers.

    Yields:
        the places of some triples, how many persons hold each, and how many of those are
        in the owner's class; every triple comes once.
    """
    none = np.flatnonzero(triples[:, 0] < 0)
    if len(none):  # who has no point at all hides among all, and in the own class
        own = np.bincount(classes)[classes[owner[none]]]
        yield none, np.full(len(none), len(classes), dtype=np.int64), own
    if len(none) == len(triples):
        return
    # Points are renumbered, the rarest first: a person's points from one on are those
    # that more persons hold.
    order = np.argsort(points.n_holders, kind="stable")
    rarity = np.empty(len(order), dtype=np.int64)
    rarity[order] = np.arange(len(order))
    ranked = np.sort(np.where(triples < 0, -1, rarity[triples]), axis=1)
    rarest = ranked[:, 0]
    alone = np.flatnonzero((rarest >= 0) & (points.n_holders[order[rarest]] == 1))
    if len(alone):
        once = np.ones(len(alone), dtype=np.int64)
        yield alone, once, once
    by_rarest = np.argsort(rarest, kind="stable")
    first = int(np.searchsorted(rarest[by_rarest], (points.n_holders == 1).sum()))
    cuts = np.flatnonzero(np.diff(rarest[by_rarest[first:]])) + first + 1
    edges = [first, *cuts.tolist(), len(rarest)] if first < len(rarest) else []
    held = _held_by(points, rarity, classes) if edges else None
    for start, end in pairwise(edges):
        assert held is not None
        at = by_rarest[start:end]
        own_class = classes[owner[at]]
        yield at, *held.with_all(ranked[at[0], 0], ranked[at, 1:], own_class)


@dataclass(frozen=True)
class _Held:
    """Points by person and persons by point; points by rarity, persons by class.

    Attributes:
        points: the points of each person, ascending.
        ends: where each person's points end.
        starts: where each point's holders start; one more at the end.
        holders: the holders of each point, ascending.
        places: where in ``points`` each holder's own point stands.
        classes: each person's class, ascending.
        slots: a row for each point; all zero between calls.
    """

    points: Ints
    ends: Ints
    starts: Ints
    holders: Ints
    places: Ints
    classes: Ints
    slots: Ints

    def with_all(self, rarest: int, others: Ints, own_class: Ints) -> tuple[Ints, Ints]:
        """Count the persons that hold a point and two others, in all and in a class.

        Args:
            rarest: the point; nobody but its holders is looked at.
            others: two points a row, none of them rarer.
            own_class: the class a row to count in.
        """
        own = slice(self.starts[rarest], self.starts[rarest + 1])
        holders, places = self.holders[own], self.places[own]
        needed = np.unique(others)
        self.slots[needed] = np.arange(1, len(needed) + 1)
        n_words = -(-len(holders) // 64)
        has = np.zeros((len(needed) + 1, 64 * n_words), dtype=np.bool_)
        who, at = _ranges(places, self.ends[holders])
        has[self.slots[self.points[at]], who] = True
        bits = np.packbits(has, axis=1, bitorder="little").view("<u8")
        rows = self.slots[others]
        self.slots[needed] = 0
        classes = self.classes[holders]
        low = np.searchsorted(classes, own_class, side="left")
        high = np.searchsorted(classes, own_class, side="right")
        n_all = np.empty(len(others), dtype=np.int64)
        n_own = np.empty(len(others), dtype=np.int64)
        step = max(16, _WORDS_AT_ONCE // n_words)
        for start in range(0, len(others), step):
            part = slice(start, start + step)
            both = bits[rows[part, 0]] & bits[rows[part, 1]]
            n_all[part] = np.bitwise_count(both).sum(axis=1)
            n_own[part] = _ones_between(both, low[part], high[part])
        return n_all, n_own


def _held_by(points: Points, rarity: Ints, classes: Ints) -> _Held:
    """Turn what each person holds into who holds each point."""
    n, n_points = len(classes), len(rarity)
    by_class = np.argsort(classes, kind="stable")
    place = np.empty(n, dtype=np.int64)
    place[by_class] = np.arange(n)
    n_each = np.diff(points.starts)
    key = np.repeat(place, n_each) * n_points + rarity[points.of]
    key.sort()
    ends = np.cumsum(n_each[by_class])
    starts = np.concatenate([[0], ends])
    of = key % n_points
    # A sparse matrix turned on its side: where each point stands, point by point.
    turned = csr_matrix((np.arange(len(of)), of, starts), shape=(n, n_points)).tocsc()
    return _Held(
        points=of,
        ends=ends,
        starts=turned.indptr.astype(np.int64),
        holders=turned.indices,
        places=turned.data,
        classes=classes[by_class],
        slots=np.zeros(n_points, dtype=np.int64),
    )


def _ranges(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Return the members of many ranges, one after the other, and whose each is."""
    lengths = ends - starts
    whose = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return whose, np.arange(len(whose)) + (starts - before)[whose]


def _ones_between(bits: NDArray[np.uint64], low: Ints, high: Ints) -> Ints:
    """Count the ones from bit ``low`` to before bit ``high`` of each row; low < high."""
    first, last = low // 64, (high - 1) // 64
    row, word = _ranges(first, last + 1)
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    from_low = np.where(word == first[row], low[row] % 64, 0).astype(np.uint64)
    past_high = np.where(word == last[row], 63 - (high[row] - 1) % 64, 0)
    mask = (full << from_low) & (full >> past_high.astype(np.uint64))
    ones = np.bitwise_count(bits[row, word] & mask).astype(np.int64)
    return np.add.reduceat(ones, np.searchsorted(row, np.arange(len(low))))
