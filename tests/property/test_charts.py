"""Charts over time equal an independent reading of the page, on many random series at once."""

import random
from datetime import date
from typing import Any

import duckdb
import pytest

from lib.rendered import PROJECT, model
from oracle.charts import Point, limits_of, lines_of, rules_of, runs_of

N_SERIES = 240
KINDS = ("xmr", "p_prime", "u_prime")


def _series(rng: random.Random, kind: str) -> list[Point]:
    n = rng.choice([1, 5, 9, 11, 12, 17, 23, 24, 25, 40, 60])
    drift = rng.choice([0.0, 0.0, 0.01])
    p = rng.choice([0.0, 0.02, 0.3, 0.7, 1.0])
    size = rng.choice([8, 60, 400])
    flat = rng.random() < 0.05
    points = []
    for k in range(n):
        if kind == "xmr":
            jump = rng.choice([0, 0, 0, 0, 0, 0, 2]) if rng.random() < 0.3 else 0
            score = 4.0 if flat else rng.gauss(4, 0.5) + drift * k * 10 + jump
            points.append(Point(round(score, rng.choice([1, 9]))))
        else:
            of = rng.randint(size // 2 + 1, size)
            share = min(1.0, p + (drift * k if 0 < p < 1 else 0))
            x = sum(rng.random() < share for _ in range(of))
            points.append(Point(x / of, x, of))
    return points


def _month(k: int) -> date:
    return date(2015 + k // 12, k % 12 + 1, 1)


def _charts(
    series: dict[str, tuple[str, list[Point]]], shift: int = 8, trend: int = 6
) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    con = duckdb.connect()
    con.execute("create table int_qi__chart_value (chart_id varchar, indicator varchar,"
                " instrument varchar, kind varchar, direction varchar, clinic_key varchar,"
                " month date, value double, numerator integer, denominator integer,"
                " used boolean, segment integer, change_note varchar)")  # fmt: skip
    rows = []
    for name, (kind, points) in series.items():
        for k, p in enumerate(points):
            counts = (None, None) if kind == "xmr" else (p.numerator, p.denominator)
            rows.append((name, kind, _month(2 * k), p.value, *counts))
            rows.append((name, kind, _month(2 * k + 1), None, None, None))
    columns = [list(column) for column in zip(*rows, strict=True)]
    con.execute(
        "insert into int_qi__chart_value select chart_id, 'i', null, kind, 'up', 'all',"
        " month, value, numerator, denominator,"
        " case when value is not null then true end, 0, null from (select"
        " unnest(?::varchar[]) as chart_id, unnest(?::varchar[]) as kind,"
        " unnest(?::date[]) as month, unnest(?::double[]) as value,"
        " unnest(?::integer[]) as numerator, unnest(?::integer[]) as denominator)",
        columns,
    )
    seed = PROJECT / "seeds" / "run_chart_bound.csv"
    con.execute(f"create table run_chart_bound as from read_csv('{seed}')")
    con.execute("create table int_qi__chart_target (chart_id varchar, clinic_key varchar,"
                " target double)")  # fmt: skip
    settings = {"qi.screen_moving_ranges": 1, "qi.sigma_z_floor": 1,
                "qi.shift_points": shift, "qi.trend_points": trend}  # fmt: skip
    for name in ("int_qi__chart_limit", "spc_point", "spc_series"):
        con.execute(f"create table {name} as {model(name, settings)}")
    said = _rows(con, "select * from spc_series")
    drawn: dict[str, list[dict[str, Any]]] = {name: [] for name in series}
    for row in _rows(con, "select * from spc_point order by chart_id, month"):
        drawn[row["chart_id"]].append(row)
    return {row["chart_id"]: row for row in said}, drawn


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = con.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize(("shift", "trend"), [(8, 6), (7, 7)])
def test_limits_rules_and_runs_equal_the_oracle(shift: int, trend: int) -> None:
    rng = random.Random(shift)
    series = {
        f"{kind}.{place}": (kind, _series(rng, kind))
        for kind in KINDS
        for place in range(N_SERIES // len(KINDS))
    }
    said, drawn = _charts(series, shift, trend)
    rules, reasons = set(), set()
    for name, (kind, points) in series.items():
        found = limits_of(points, kind)
        for column, value in {**found, **runs_of(points)}.items():
            assert said[name][column] == pytest.approx(value, abs=1e-9), (name, column)
        months = [row for row in drawn[name] if row["value"] is not None]
        assert len(months) == len(points)
        assert len(drawn[name]) == 2 * len(points)
        reasons |= {found["reason"], found["screening"]}
        if found["limits"] == "none":
            assert {row["rule"] for row in months} == {None}
            continue
        told = rules_of(points, kind, found, shift, trend)
        assert [(row["rule"], row["side"]) for row in months] == told, name
        for row, point in zip(months, points, strict=True):
            lines = tuple(row[column] for column in ("lcl", "ucl", "lo2", "hi2"))
            assert lines == pytest.approx(lines_of(point, kind, found), abs=1e-9)
        rules |= {rule for rule, _ in told}
    assert rules == {"outside", "trend", "two_of_three", "shift", "none"}
    assert reasons >= {"too_few_points", "no_variation", "rate_at_bound",
                       "small_denominators", "applied", "none"}  # fmt: skip


def test_a_value_on_the_limit_or_on_the_centre_is_no_signal() -> None:
    """4, 5, 4, 5 … has ranges of 1, so its limits are 4.5 and 2.66 away."""
    values = [4.0, 5.0] * 12 + [4.5 + 2.66, 4.5 - 2.66, 4.5, 4.5 + 2.6600001]
    said, drawn = _charts({"a": ("xmr", [Point(v) for v in values])})
    assert (said["a"]["cl"], said["a"]["mr_bar"]) == (4.5, 1.0)
    told = [row for row in drawn["a"] if row["value"] is not None]
    assert [row["rule"] for row in told[-4:]] == ["none", "none", "none", "outside"]
    assert said["a"]["variation"] == "improvement_high"
