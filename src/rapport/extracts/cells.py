"""Complementary suppression: which further cells to hide so that no small one follows.

One integer programme a small cell, over the whole system of tables that share cells; an
attacker knows every shown cell and every total, and that hidden counts are at least 1.

Source: Cox 1980; Fischetti & Salazar-González 2001; privacy.md C6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

TOTAL = "total"
_DEARER = 1_000
_REACH = 10
Key = tuple[str, ...]


@dataclass(frozen=True)
class System:
    """Cells of one or more tables, and what adds up to what.

    Attributes:
        keys: each cell's value in each dimension, ``total`` where it is a margin.
        equations: for each sum, the place of the whole and of its parts.
    """

    keys: tuple[Key, ...]
    equations: tuple[tuple[int, tuple[int, ...]], ...]

    def is_margin(self, place: int) -> bool:
        """Tell whether a cell is a total in any dimension."""
        return TOTAL in self.keys[place]


@dataclass(frozen=True)
class Interval:
    """What an attacker can say of a hidden cell; ``high`` may be infinite."""

    low: float
    high: float

    def hides(self, k: int) -> bool:
        """Tell whether a small cell may be said to be hidden within it."""
        return self.high - self.low >= k - 1 and self.high >= k


def system_of(keys: Iterable[Key]) -> System:
    """Lay out a system: every cell with a ``total`` is the sum of those below it."""
    listed = tuple(dict.fromkeys(keys))
    place = {key: n for n, key in enumerate(listed)}
    equations = []
    width = len(listed[0]) if listed else 0
    for dimension in range(width):
        parts: dict[Key, list[int]] = {}
        for key, at in place.items():
            if key[dimension] != TOTAL:
                whole = (*key[:dimension], TOTAL, *key[dimension + 1 :])
                parts.setdefault(whole, []).append(at)
        equations += [
            (place[whole], tuple(found))
            for whole, found in parts.items()
            if whole in place
        ]
    return System(listed, tuple(equations))


def with_margins(counts: Mapping[Key, int], values: Sequence[Sequence[str]]) -> dict[Key, int]:  # fmt: skip
    """Return counts of every cell and margin of a full table, row-major, zeros too."""
    found = {}
    for key in product(*((*listed, TOTAL) for listed in values)):
        found[key] = sum(
            n
            for cell, n in counts.items()
            if all(w in (TOTAL, c) for w, c in zip(key, cell, strict=True))
        )
    return found


def primary_cells(counts: Sequence[int], k: int) -> tuple[int, ...]:
    """List the cells of 1 to k - 1 persons, the smallest first, then row-major."""
    small = [place for place, n in enumerate(counts) if 0 < n < k]
    return tuple(sorted(small, key=lambda place: (counts[place], place)))


class Attacker:
    """Someone who knows every shown cell and every sum, and asks what is hidden (HiGHS).

    Every table found on the way is kept: most cells are seen to vary without a programme
    of their own.
    """

    def __init__(
        self,
        system: System,
        shown: Mapping[int, int],
        hidden: Iterable[int],
        truth: Sequence[int] | None = None,
    ) -> None:
        self._hidden = sorted(hidden)
        self._order = {place: n for n, place in enumerate(self._hidden)}
        rows: list[int] = []
        columns: list[int] = []
        values: list[int] = []
        sides: list[int] = []
        for whole, parts in system.equations:
            if not ({whole, *parts} & self._order.keys()):
                continue
            side = 0
            for place, sign in ((whole, -1), *((part, 1) for part in parts)):
                if place in self._order:
                    rows.append(len(sides))
                    columns.append(self._order[place])
                    values.append(sign)
                else:
                    side -= sign * shown[place]
            sides.append(side)
        self._equal = _equal(rows, columns, values, sides, len(self._hidden))
        known = [truth[place] for place in self._hidden] if truth is not None else None
        start = np.array(known, dtype=float) if known is not None else None
        width = len(self._hidden)
        self._low = start.copy() if start is not None else np.full(width, np.inf)
        self._high = start.copy() if start is not None else np.full(width, -np.inf)

    def interval(self, cell: int) -> Interval:
        """Return the least and the most that a hidden cell can be."""
        return Interval(self._end(cell, 1), self._end(cell, -1))

    def cannot_tell(self, cell: int, k: int) -> bool:
        """Tell whether a small cell is hidden well enough, with as little work as can be."""
        for sign in (-1, 1):
            at = self._order[cell]
            if Interval(self._low[at], self._high[at]).hides(k):
                return True
            self._end(cell, sign)
        return self.interval(cell).hides(k)

    def _end(self, cell: int, sign: int) -> float:
        wanted = np.zeros(len(self._hidden))
        wanted[self._order[cell]] = sign
        found = milp(
            wanted,
            constraints=self._equal,
            integrality=np.ones(len(self._hidden)),
            bounds=Bounds(1, np.inf),
            options={"mip_rel_gap": 0},
        )
        if found.x is None:
            unbounded = found.status in (3, 4) and sign < 0
            if unbounded:
                self._high[self._order[cell]] = np.inf
            return float("inf") if unbounded else float("nan")
        table = np.round(found.x)
        self._low = np.minimum(self._low, table)
        self._high = np.maximum(self._high, table)
        return float(table[self._order[cell]])


def interval(
    system: System, shown: Mapping[int, int], hidden: Sequence[int], cell: int
) -> Interval:
    """Return the least and the most that a hidden cell can be."""
    return Attacker(system, shown, hidden).interval(cell)


def protect(system: System, counts: Sequence[int], k: int) -> frozenset[int] | None:
    """Choose the cells to hide; None when no choice protects, and nothing may be shown."""
    primaries = primary_cells(counts, k)
    hidden = set(primaries)
    attacker = _attacker(system, counts, hidden)
    for cell in primaries:
        if attacker.cannot_tell(cell, k):
            continue
        chosen = _cheapest(system, counts, hidden, cell, k)
        if chosen is None:
            return None
        hidden |= chosen
        attacker = _attacker(system, counts, hidden)
    dearest = sorted(
        hidden - set(primaries),
        key=lambda place: -_cost(system, counts, place),
    )
    for place in dearest:
        fewer = hidden - {place}
        if _all_hide(system, counts, fewer, primaries, k):
            hidden = fewer
    return (
        frozenset(hidden) if _all_hide(system, counts, hidden, primaries, k) else None
    )


def _attacker(system: System, counts: Sequence[int], hidden: set[int]) -> Attacker:
    shown = {p: n for p, n in enumerate(counts) if p not in hidden}
    return Attacker(system, shown, hidden, counts)


def _all_hide(
    system: System,
    counts: Sequence[int],
    hidden: set[int],
    primaries: Sequence[int],
    k: int,
) -> bool:
    attacker = _attacker(system, counts, hidden)
    return all(attacker.cannot_tell(cell, k) for cell in primaries)


def _cost(system: System, counts: Sequence[int], place: int) -> int:
    n = len(counts)
    spread = n * (n + 1) // 2 + 1
    cost = counts[place] * spread + place + 1
    return cost * (_DEARER if system.is_margin(place) else 1)


def _cheapest(
    system: System, counts: Sequence[int], hidden: set[int], cell: int, k: int
) -> set[int] | None:
    """Hide what costs least such that another table exists, k - 1 away in one cell."""
    n = len(counts)
    cost = np.array(
        [0 if p in hidden else _cost(system, counts, p) for p in range(n)], dtype=float
    )
    free = np.array([count > 0 for count in counts])
    # Variables: h of each cell, then its shift.
    rows: list[int] = []
    columns: list[int] = []
    values: list[int] = []
    sides: list[int] = []
    for whole, parts in system.equations:
        for place, sign in ((whole, -1), *((part, 1) for part in parts)):
            rows.append(len(sides))
            columns.append(n + place)
            values.append(sign)
        sides.append(0)
    keeps = _equal(rows, columns, values, sides, 2 * n)
    eye = coo_array(np.eye(n))
    most = np.diag(np.full(n, float(_REACH * (k - 1))))
    least = np.diag(np.array([max(count - 1, 0) for count in counts], dtype=float))
    above = LinearConstraint(np.hstack([most, -eye.toarray()]), 0, np.inf)
    below = LinearConstraint(np.hstack([least, eye.toarray()]), 0, np.inf)
    low = np.concatenate([np.zeros(n), np.full(n, -np.inf)])
    high = np.concatenate([free.astype(float), np.full(n, np.inf)])
    low[n : 2 * n][~free] = 0
    high[n : 2 * n][~free] = 0
    low[n + cell] = high[n + cell] = k - 1
    found = milp(
        np.concatenate([cost, np.zeros(n)]),
        constraints=[*keeps, above, below],
        integrality=np.ones(2 * n),
        bounds=Bounds(low, high),
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        return None
    return {place for place in range(n) if found.x[place] > 0.5}


def _equal(
    rows: list[int],
    columns: list[int],
    values: list[int],
    sides: list[int],
    width: int,
) -> list[LinearConstraint]:
    if not sides:
        return []
    matrix: NDArray[np.float64] = coo_array(
        (np.array(values, dtype=float), (rows, columns)), shape=(len(sides), width)
    ).toarray()
    return [LinearConstraint(matrix, sides, sides)]
