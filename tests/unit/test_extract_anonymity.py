"""Generalisation, masking, row counts and remembered points, on tables drawn by hand.

Each attack is run twice: with its control switched off it succeeds, with it on it fails
(privacy.md F).
"""

from collections import Counter
from itertools import combinations, pairwise, product

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.extracts import generalise, levels, risk
from rapport.extracts.frames import trimmed_counts
from rapport.extracts.generalise import anonymised, encoded, failing, lattice
from rapport.extracts.levels import TOP, age_band, diagnosis_block, generalised

K = 11
DRAW = np.random.default_rng(20260630)
LEVEL_0 = {
    "index_year": ["2021", "2022", "2023", "2024", "missing"],
    "age_band": [*levels.AGE_BANDS, "missing"],
    "race_group": ["white", "black", "asian", "unknown", "missing", "multiple"],
    "state": ["NY", "DC", "PR", "unknown", "missing", "NSW"],
    "n_sessions_band": list(levels.SESSION_BANDS),
    "dx_group": ["F40-F48", "F30-F39", "X85-Y09", "other", "missing"],
}


def cohort(n: int, seed: int) -> tuple[dict[str, list[str]], list[str | None]]:
    draw = np.random.default_rng(seed)
    values = {
        "age_band": [str(draw.choice(levels.AGE_BANDS[2:7])) for _ in range(n)],
        "sex": [str(draw.choice(["female", "male"])) for _ in range(n)],
        "state": [str(draw.choice(["NY", "CA", "VT"], p=[0.6, 0.3, 0.1])) for _ in range(n)],
    }  # fmt: skip
    secret = [draw.choice(["repaired", "no_rupture", None]) for _ in range(n)]
    return values, secret


def classes(values: dict[str, list[str]]) -> Counter[tuple[str, ...]]:
    return Counter(zip(*values.values(), strict=True))


# --- levels -------------------------------------------------------------------------


@pytest.mark.parametrize("column", LEVEL_0)
def test_each_level_is_nested_in_the_next(column: str) -> None:
    for level in range(TOP[column] - 1):
        parents: dict[str, set[str]] = {}
        for value in LEVEL_0[column]:
            here = generalised(column, level, value)
            parents.setdefault(here, set()).add(generalised(column, level + 1, value))
        assert all(len(above) == 1 for above in parents.values()), (column, level)


def test_missing_and_masked_stay_what_they_are_at_every_level() -> None:
    for column, level in product(TOP, range(2)):
        if level < TOP[column]:
            assert generalised(column, level, "missing") == "missing"
            assert generalised(column, level, "masked") == "masked"


def test_the_levels_are_those_of_the_page() -> None:
    assert generalised("index_year", 1, "2023") == "2022-2023"
    assert generalised("index_year", 2, "2023") == "2020-2023"
    assert [generalised("age_band", 1, b) for b in ("10-19", "80-89", "90+")] == [
        "0-19", "80+", "80+",
    ]  # fmt: skip
    assert generalised("age_band", 2, "50-59") == "20-59"
    assert generalised("race_group", 1, "unknown") == "missing"
    assert generalised("state", 1, "DC") == "South"
    assert generalised("state", 1, "MP") == "Territories"
    assert generalised("state", 1, "NSW") == "other"
    assert generalised("n_sessions_band", 1, "52+") == "24+"


def test_the_oldest_old_are_never_missed() -> None:
    assert [age_band(a) for a in (89, 90, 105, -1, None, 0)] == [
        "80-89", "90+", "90+", "missing", "missing", "0-9",
    ]  # fmt: skip


def test_diagnoses_fall_into_blocks_of_the_icd_10() -> None:
    assert diagnosis_block("icd10", "F43.10") == "F40-F48"
    assert diagnosis_block("dsm5", "F33.1") == "F30-F39"
    assert diagnosis_block("icd10", "Z63.0") == "Z55-Z65"
    assert diagnosis_block("icd11", "6B40") == "other"
    assert diagnosis_block("icd10", "free text") == "other"
    assert diagnosis_block("icd10", None) == "missing"
    assert diagnosis_block("icd10", "M17.1") == "M15-M19"  # the innermost block
    assert diagnosis_block("icd10", "Z69.11") == "other"  # of ICD-10-CM alone
    listed = levels.blocks()
    assert len(listed) == 263
    assert [block for block, _, _ in listed if block[0] == "F"] == [
        "F00-F09", "F10-F19", "F20-F29", "F30-F39", "F40-F48", "F50-F59", "F60-F69",
        "F70-F79", "F80-F89", "F90-F98", "F99-F99",
    ]  # fmt: skip
    assert all(block == f"{first}-{last}" for block, first, last in listed)
    assert all(first <= last for _, first, last in listed)
    by_first = sorted(listed, key=lambda block: block[1])
    assert all(a[2] < b[1] for a, b in pairwise(by_first))


# --- the lattice --------------------------------------------------------------------


def test_the_lattice_has_every_node_once_and_in_one_order() -> None:
    nodes = lattice([*list(TOP)[:5], "n_sessions_band", "dx_group"], {})
    assert len(nodes) == len({n.levels for n in nodes}) == 2_592
    assert nodes[0].levels == (0,) * 7
    assert all((a.loss, a.levels) < (b.loss, b.levels) for a, b in pairwise(nodes))  # fmt: skip
    # index_year at level 1 of 3: 2 * (6 / 3) ** 2.
    assert next(n for n in nodes if n.levels == (1, 0, 0, 0, 0, 0, 0)).loss == 8


def test_the_first_feasible_node_is_taken() -> None:
    for seed in range(8):
        values, secret = cohort(200, seed)
        found = generalise.search(list(values), values, [encoded(secret)], K, {})
        expected = None
        for node in lattice(list(values), {}):
            shown = {
                c: [generalised(c, lv, v) for v in values[c]]
                for c, lv in zip(values, node.levels, strict=True)
                if lv < TOP[c]
            }
            keys = list(zip(*shown.values(), strict=True)) if shown else [()] * 200
            held: dict[tuple, set] = {}
            for key, said in zip(keys, secret, strict=True):
                held.setdefault(key, set()).add(said)
            sizes = Counter(keys)
            bad = sum(sizes[key] < K or len(held[key] - {None}) < 2 for key in keys)
            if bad <= 10:
                expected = node
                break
        assert found == expected


def test_a_voter_list_finds_nobody_after_generalisation() -> None:
    """Sweeney 2000: link by quasi-identifiers."""
    values, secret = cohort(150, 3)
    off = classes(values)
    assert min(off.values()) < K
    done = anonymised(list(values), values, [encoded(secret)], K, {})
    assert done is not None
    shown = {
        c: [v for v, gone in zip(said, done.is_dropped, strict=True) if not gone]
        for c, said in done.values.items()
    }
    assert min(classes(shown).values()) >= K


def test_a_group_that_shares_one_secret_is_broken_up() -> None:
    """Machanavajjhala et al. 2007."""
    values = {"sex": ["female"] * 20 + ["male"] * 40}
    secret = ["dropped"] * 20 + ["dropped", "stayed"] * 20
    codes = encoded(secret)
    off = anonymised(["sex"], values, [], K, {})
    on = anonymised(["sex"], values, [codes], K, {})
    assert off is not None
    assert on is not None
    assert off.values["sex"] == values["sex"]  # all women share one secret
    assert on.values == {}  # sex is left out


def test_too_few_persons_have_no_node() -> None:
    values, secret = cohort(10, 1)
    assert anonymised(list(values), values, [encoded(secret)], K, {}) is None


def test_masks_go_in_the_order_of_the_page_and_hide_within_a_class() -> None:
    values = {"sex": ["female"] * 300 + ["male"] * 300, "state": ["NY"] * 588 + ["VT"] * 12}  # fmt: skip
    is_failing = np.array([False] * 588 + [True] * 12)
    codes = {name: encoded(said) for name, said in values.items()}
    masks, left = generalise.mask_locally(["sex", "state"], codes, is_failing, [], K)
    assert not left.any()
    assert masks["state"].sum() == 12
    assert masks["sex"].sum() == 0


def test_who_cannot_hide_is_dropped() -> None:
    codes = {"state": encoded(["NY"] * 100 + ["VT"] * 3)}
    _, left = generalise.mask_locally(
        ["state"], codes, np.array([False] * 100 + [True] * 3), [], K
    )
    assert left.tolist() == [False] * 100 + [True] * 3


def test_weights_keep_what_matters_to_a_study() -> None:
    values, secret = cohort(150, 3)
    plain = generalise.search(list(values), values, [encoded(secret)], K, {})
    kept = generalise.search(
        list(values),
        values,
        [encoded(secret)],
        K,
        {"age_band": 9, "sex": 1, "state": 1},
    )
    assert plain is not None
    assert kept is not None
    assert kept.levels[0] <= plain.levels[0]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=1, max_size=80)
)
def test_who_fails_is_counted_as_by_hand(rows: list[tuple[int, int]]) -> None:
    kinds = np.array([a for a, _ in rows])
    secret = np.array([b for _, b in rows])
    own = np.unique(kinds, return_inverse=True)[1]
    found = failing(own, [secret], 3)
    for (kind, _), fails in zip(rows, found, strict=True):
        inside = [b for a, b in rows if a == kind]
        assert fails == (len(inside) < 3 or len({b for b in inside if b >= 0}) < 2)


# --- row counts ---------------------------------------------------------------------


def test_a_row_count_that_few_share_is_cut() -> None:
    counts = np.array([4] * 20 + [9] * 3 + [12])
    shared = Counter(counts.tolist())
    assert min(shared.values()) < K  # the attack: who has twelve rows
    kept = Counter(trimmed_counts(counts, K).tolist())
    assert all(n >= K for count, n in kept.items() if count)
    assert kept == {4: 24}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_no_exact_row_count_is_left_with_few_persons(counts: list[int]) -> None:
    kept = trimmed_counts(np.array(counts), 5)
    assert all(n >= 5 for count, n in Counter(kept.tolist()).items() if count)
    assert (kept <= np.array(counts)).all()


# --- remembered points --------------------------------------------------------------


def course(rows: list[tuple[str, int, str]]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("create schema data")
    con.execute("create table data.sessions (client_id varchar, week_index integer,"
                " status varchar)")  # fmt: skip
    con.executemany("insert into data.sessions values (?, ?, ?)", rows)
    con.execute("create table data.clients as select distinct client_id, 'x' as sex"
                " from data.sessions")  # fmt: skip
    return con


def by_hand(rows: list[tuple[str, int, str]]) -> dict[str, float]:
    """An attacker's own program: try every three points of every person."""
    held: dict[str, set[tuple[int, str]]] = {}
    for who, week, status in rows:
        held.setdefault(who, set()).add((week, status))
    found = {}
    for who, points in held.items():
        triples = list(combinations(sorted(points), min(3, len(points))))
        matches = [sum(set(t) <= other for other in held.values()) for t in triples]
        found[who] = sum(1 / m for m in matches) / len(triples)
    return found


def test_three_remembered_visits_are_measured_as_an_attacker_would() -> None:
    rows = [
        (f"P{who:03d}", int(week), str(DRAW.choice(["attended", "no_show"])))
        for who in range(40)
        for week in DRAW.choice(7, size=DRAW.integers(1, 7), replace=False)
    ]
    with course(rows) as con:
        found = risk.measure_trajectory(con, "digest", ["sex"])
    expected = by_hand(rows)
    assert found.risks == pytest.approx([expected[who] for who in sorted(expected)])
    assert found.mean == pytest.approx(sum(expected.values()) / len(expected), abs=1e-6)


def test_fifty_triples_are_drawn_alike_every_time() -> None:
    rows = [(f"P{who:03d}", week, "attended") for who in range(30) for week in range(20)
            if (who * 7 + week * 3) % 5]  # fmt: skip
    with course(rows) as con:
        first = risk.measure_trajectory(con, "digest", ["sex"])
        again = risk.measure_trajectory(con, "digest", ["sex"])
        other = risk.measure_trajectory(con, "another", ["sex"])
    assert first == again
    assert first.risks != other.risks
    whole = by_hand(rows)
    assert first.mean == pytest.approx(sum(whole.values()) / len(whole), rel=0.2)


def test_joint_risk_is_never_below_that_of_the_points_alone() -> None:
    rows = [(f"P{who:03d}", who % 3, "attended") for who in range(12)]
    with course(rows) as con:
        con.execute("update data.clients set sex = case when client_id < 'P006'"
                    " then 'female' else 'male' end")  # fmt: skip
        found = risk.measure_trajectory(con, "digest", ["sex"])
    assert found.mean == pytest.approx(1 / 4)
    assert found.joint_mean == pytest.approx(1 / 2)


def test_who_has_no_point_hides_among_all() -> None:
    with course([("P1", 0, "attended")]) as con:
        con.execute("insert into data.clients values ('P2', 'x'), ('P3', 'x')")
        found = risk.measure_trajectory(con, "digest", ["sex"])
    assert found.risks == pytest.approx([1.0, 1 / 3, 1 / 3])
