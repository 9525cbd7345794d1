"""The funnel's limits equal scipy's binomial and the page's arithmetic."""

import random

import duckdb
import pytest

from lib.rendered import model
from oracle.funnel import exact_limit, overdispersion, wide_limits

Q = {"ll95": 0.025, "ul95": 0.975, "ll998": 0.001, "ul998": 0.999}


def _funnel(units: dict[str, list[tuple[int, int]]]) -> list[dict]:
    """Build the model with one person a fact, and nothing hidden."""
    con = duckdb.connect()
    con.execute("create table int_qi__window as select date '2025-06-01' as window_start,"
                " date '2026-05-31' as window_end")  # fmt: skip
    n_units = max(len(of) for of in units.values())
    con.execute("create table int_qi__clinic as select 'c' || lpad(x::varchar, 2, '0') as"
                f" clinic_key from range({n_units}) as t(x) union all select 'all'")  # fmt: skip
    con.execute("create table int_qi__indicator_fact (indicator varchar, own_clinic"
                " varchar, client_key varchar, is_counted boolean)")  # fmt: skip
    for indicator, of in units.items():
        for place, (x, n) in enumerate(of):
            con.execute("insert into int_qi__indicator_fact select ?, ?, 'p' || i, i < ?"
                        " from range(?) as t(i)", [indicator, f"c{place:02}", x, n])  # fmt: skip
    shown_all = {"qi.small_cell_min": 0}
    con.execute(
        f"create table int_qi__funnel_unit as {model('int_qi__funnel_unit', shown_all)}"
    )
    rows = con.execute(model("clinic_funnel", shown_all))
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


@pytest.mark.parametrize("seed", range(4))
def test_limits_equal_the_oracle(seed: int) -> None:
    rng = random.Random(seed)
    units = {}
    for indicator, k, spread in [("dropout", 2, 0.0), ("repair", 4, 0.3),
                                 ("completion_alliance", 12, 0.25),
                                 ("reliable_improvement", 20, 0.0)]:  # fmt: skip
        units[indicator] = []
        for _ in range(k):
            n = rng.choice([1, 7, 40, 300, 2500])
            p = min(1.0, max(0.0, 0.6 + rng.uniform(-spread, spread)))
            units[indicator].append((sum(rng.random() < p for _ in range(n)), n))
    seen = set()
    for row in _funnel(units):
        of = units.get(row["indicator"], [])
        at = int(row["clinic_key"][1:])
        if at >= len(of):
            assert (row["value"], row["position"], row["ll95"]) == (None, None, None)
            continue
        theta = sum(x for x, _ in of) / sum(n for _, n in of)
        x, n = of[at]
        assert (row["numerator"], row["denominator"], row["n_clinics"]) == (
            x,
            n,
            len(of),
        )
        assert row["target"] == pytest.approx(theta, abs=1e-12)
        for name, q in Q.items():
            assert row[name] == pytest.approx(exact_limit(q, n, theta), abs=1e-9)
        low, high = row["ll998"], row["ul998"]
        if len(of) < 5:
            assert (row["phi"], row["tau2"], row["adjusted"]) == (None, None, False)
        else:
            phi, tau2 = overdispersion(of, theta)
            assert row["phi"] == pytest.approx(phi, abs=1e-9)
            assert row["tau2"] == pytest.approx(tau2, abs=1e-9)
            assert row["adjusted"] == (tau2 > 0)
            if tau2 > 0:
                for name, c in {"95": 1.959964, "998": 3.090232}.items():
                    found = row[f"od_ll{name}"], row[f"od_ul{name}"]
                    assert found == pytest.approx(
                        wide_limits(c, n, theta, tau2), abs=1e-9
                    )
                low, high = row["od_ll998"], row["od_ul998"]
            else:
                assert row["od_ll95"] is None
        value = round(x / n, 9)
        position = (
            "low" if value < round(low, 9) else "high" if value > round(high, 9) else "inside"
        )  # fmt: skip
        assert row["position"] == position
        seen.add((row["adjusted"], position))
    assert {adjusted for adjusted, _ in seen} == {True, False}


def test_without_a_difference_to_judge_there_are_no_limits() -> None:
    """All of them, none of them, or a clinic alone (quality_improvement.md 3.5)."""
    rows = _funnel({"dropout": [(3, 3), (9, 9)], "repair": [(0, 8), (0, 2)],
                    "completion_alliance": [(3, 7)]})  # fmt: skip
    told = [row for row in rows if row["denominator"]]
    assert len(told) == 5
    assert {row["position"] for row in told} == {None}
    assert {row["ul998"] for row in told} == {None}
    assert {row["target"] for row in told} == {1.0, 0.0, 3 / 7}
