"""The macro that hides small cells equals the page's rule, on many random tables at once."""

import random

import duckdb
import pytest

from lib.rendered import render
from oracle.small_cells import Set, hidden_cells

CLINICS = ["c1", "c2", "c3", "c4"]
PARTS = ["p1", "p2", "p3"]
N_CASES = 400
BODY = """
{% set keys = ['kase', 'clinic_key', 'part'] %}
with recursive
counted as (select * from given),
{{ suppressed_cells(
    'counted',
    keys,
    [{'column': 'part', 'total': 'all'}, {'column': 'clinic_key', 'total': 'all'}],
    {'settled': 'd'}
) }}
select kase, clinic_key, part, hide_row, hide_settled from cells
"""


def _tables(seed: int) -> list[tuple[int, str, str, int, int]]:
    """Cells of clinics by parts with their totals; many are 0 or small."""
    rng = random.Random(seed)
    rows = []
    for case in range(N_CASES):
        top = rng.choice([3, 8, 14, 40])
        cells = {}
        for clinic in CLINICS:
            for part in PARTS:
                n = rng.choice([0, rng.randint(0, top), rng.randint(0, top)])
                cells[clinic, part] = (n, rng.randint(0, n))
        for clinic in [*CLINICS, "all"]:
            for part in [*PARTS, "all"]:
                of = [
                    value
                    for (c, p), value in cells.items()
                    if clinic in (c, "all") and part in (p, "all")
                ]
                rows.append((case, clinic, part, sum(n for n, _ in of),
                             sum(d for _, d in of)))  # fmt: skip
    return rows


def _along_parts() -> list[Set]:
    return [((c, "all"), [(c, p) for p in PARTS]) for c in [*CLINICS, "all"]]


def _along_clinics() -> list[Set]:
    return [(("all", p), [(c, p) for c in CLINICS]) for p in [*PARTS, "all"]]


@pytest.mark.parametrize("minimum", [0, 2, 11])
def test_the_hidden_cells_are_those_of_the_page(minimum: int) -> None:
    rows = _tables(minimum)
    con = duckdb.connect()
    con.execute("create table given (kase integer, clinic_key varchar, part varchar,"
                " n_clients integer, d integer)")  # fmt: skip
    columns = [list(column) for column in zip(*rows, strict=True)]
    lists = ", ".join(["unnest(?)"] * len(columns))
    con.execute(f"insert into given select {lists}", columns)
    found = con.execute(render(BODY, {"qi.small_cell_min": minimum})).fetchall()
    assert len(found) == len(rows)
    hidden: dict[int, list[set[tuple[str, ...]]]] = {
        case: [set(), set()] for case in range(N_CASES)
    }
    for case, clinic, part, hide_row, hide_share in found:
        if hide_row:
            hidden[case][0].add((clinic, part))
        if hide_share:
            hidden[case][1].add((clinic, part))
    for case in range(N_CASES):
        of = {(c, p): (n, d) for k, c, p, n, d in rows if k == case}
        both = [_along_parts, _along_clinics], [1, 0]
        whole = hidden_cells({k: n for k, (n, _) in of.items()}, minimum, *both)
        share = hidden_cells({k: d for k, (_, d) in of.items()}, minimum, *both, whole)
        assert hidden[case] == [whole, share], (case, of)
    assert any(whole for whole, _ in hidden.values()) == (minimum > 0)


@pytest.mark.parametrize("minimum", [2, 11])
def test_no_published_total_gives_a_lone_hidden_sibling_away(minimum: int) -> None:
    rows = _tables(100 + minimum)
    con = duckdb.connect()
    con.execute("create table given (kase integer, clinic_key varchar, part varchar,"
                " n_clients integer, d integer)")  # fmt: skip
    columns = [list(column) for column in zip(*rows, strict=True)]
    lists = ", ".join(["unnest(?)"] * len(columns))
    con.execute(f"insert into given select {lists}", columns)
    found = con.execute(render(BODY, {"qi.small_cell_min": minimum})).fetchall()
    people = {(k, c, p): n for k, c, p, n, _ in rows}
    hidden = {(k, c, p) for k, c, p, hide, _ in found if hide}
    n_protected = 0
    for case in range(N_CASES):
        for total, siblings in [*_along_parts(), *_along_clinics()]:
            assert total is not None
            gone = [s for s in siblings if (case, *s) in hidden]
            if gone and (case, *total) not in hidden:
                n_protected += 1
                assert len(gone) >= 2
                assert sum(people[case, *s] for s in gone) >= minimum - 1 + len(gone)
    assert n_protected > 100


def test_siblings_of_an_implied_total_go_all_when_none_is_left_beside_a_small_one() -> (
    None
):
    con = duckdb.connect()
    con.execute("create table given as select * from (values (1, 'c1', 3), (1, 'c2', 0),"
                " (2, 'c1', 3), (2, 'c2', 50), (2, 'c3', 60)) as t(kase, clinic_key,"
                " n_clients)")  # fmt: skip
    body = """
    with recursive counted as (select * from given),
    {{ suppressed_cells('counted', ['kase', 'clinic_key'],
                        [{'column': 'clinic_key', 'total': none}]) }}
    select kase, clinic_key from cells where hide_row order by all
    """
    found = con.execute(render(body, {"qi.small_cell_min": 11})).fetchall()
    assert found == [(1, "c1"), (2, "c1"), (2, "c2")]
