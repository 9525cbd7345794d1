"""Complementary suppression: what an attacker can work out from totals (privacy.md C6)."""

from itertools import product

import pytest

from rapport.extracts.cells import (
    TOTAL,
    System,
    interval,
    primary_cells,
    protect,
    system_of,
    with_margins,
)

K = 5


def two_way(rows: list[list[int]]) -> tuple[System, list[int]]:
    counts = {(f"r{i}", f"c{j}"): n for i, row in enumerate(rows) for j, n in enumerate(row)}  # fmt: skip
    values = [
        [f"r{i}" for i in range(len(rows))],
        [f"c{j}" for j in range(len(rows[0]))],
    ]
    cells = with_margins(counts, values)
    return system_of(cells), list(cells.values())


def worked_out(system: System, counts: list[int], hidden: set[int], cell: int, top: int) -> set[int]:  # fmt: skip
    """An attacker's own program: try every whole number in every hidden cell."""
    places = sorted(hidden)
    found = set()
    for guess in product(range(1, top + 1), repeat=len(places)):
        said = dict(zip(places, guess, strict=True))
        value = [said.get(p, n) for p, n in enumerate(counts)]
        if all(
            value[w] == sum(value[p] for p in parts) for w, parts in system.equations
        ):
            found.add(value[cell])
    return found


ROWS = [[2, 30, 40], [50, 60, 70], [80, 90, 100]]


def test_a_small_cell_alone_follows_from_its_total() -> None:
    system, counts = two_way(ROWS)
    (cell,) = primary_cells(counts, K)
    assert worked_out(system, counts, {cell}, cell, 9) == {2}
    shown = {p: n for p, n in enumerate(counts) if p != cell}
    found = interval(system, shown, [cell], cell)
    assert (found.low, found.high) == (2, 2)


def test_hiding_the_next_in_row_and_column_is_not_enough() -> None:
    """A greedy rule never reaches the far corner of the rectangle."""
    system, counts = two_way(ROWS)
    place = {key: n for n, key in enumerate(system.keys)}
    greedy = {place["r0", "c0"], place["r0", "c1"], place["r1", "c0"]}
    shown = {p: n for p, n in enumerate(counts) if p not in greedy}
    found = interval(system, shown, sorted(greedy), place["r0", "c0"])
    assert (found.low, found.high) == (2, 2)


def test_the_programme_closes_the_rectangle_with_the_least_cells() -> None:
    system, counts = two_way(ROWS)
    hidden = protect(system, counts, K)
    assert hidden is not None
    names = {system.keys[p] for p in hidden}
    assert names == {("r0", "c0"), ("r0", "c1"), ("r1", "c0"), ("r1", "c1")}


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 1, 9], [9, 9, 9], [9, 9, 1]],
        [[0, 3, 20], [7, 0, 8], [9, 6, 30]],
        [[4, 4], [4, 4]],
    ],
)
def test_after_hiding_no_small_cell_can_be_worked_out(rows: list[list[int]]) -> None:
    system, counts = two_way(rows)
    hidden = protect(system, counts, K)
    assert hidden is not None
    for cell in primary_cells(counts, K):
        shown = {p: n for p, n in enumerate(counts) if p not in hidden}
        found = interval(system, shown, sorted(hidden), cell)
        assert found.hides(K)
        assert found.low <= counts[cell] <= found.high
    assert all(counts[p] > 0 for p in hidden)  # a zero stays shown


def test_the_interval_is_what_trying_every_table_finds() -> None:
    system, counts = two_way([[1, 3], [6, 2]])
    inner = {p for p, key in enumerate(system.keys) if TOTAL not in key}
    shown = {p: n for p, n in enumerate(counts) if p not in inner}
    for cell in inner:
        tried = worked_out(system, counts, inner, cell, 9)
        found = interval(system, shown, sorted(inner), cell)
        assert (found.low, found.high) == (min(tried), max(tried))


def test_three_dimensions_are_one_system() -> None:
    counts = {(a, b, c): 8 + 3 * i for i, (a, b, c) in enumerate(product("xy", "uv", "st"))}  # fmt: skip
    counts["x", "u", "s"] = 2
    cells = with_margins(counts, ["xy", "uv", "st"])
    system, listed = system_of(cells), list(cells.values())
    hidden = protect(system, listed, K)
    assert hidden is not None
    assert len(hidden) == 8  # the whole cube: each line needs a second cell


def test_a_system_that_nothing_protects_is_dropped() -> None:
    system, counts = two_way([[2]])
    assert protect(system, counts, 50) is not None  # margins can be hidden with it
    lone = System((("a",), ("b",)), ((0, (1,)),))
    assert protect(lone, [3, 3], K) is not None
    zero = System((("a",), ("b",), ("c",)), ((0, (1, 2)), (1, (0,))))
    assert protect(zero, [3, 3, 0], K) is not None
