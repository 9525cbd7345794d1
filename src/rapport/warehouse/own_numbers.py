"""A reader's own numbers judged by the models that judge the dashboard's.

The models of charts over time and of the funnel run in memory, on tables that stand where
a build has the steps before them. There is no second implementation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import duckdb

from rapport.settings import Quality
from rapport.warehouse.connections import in_memory
from rapport.warehouse.rendered import ModelTexts

OWN = "own"
_PUBLISHED = ("spc_point", "spc_series", "clinic_funnel")
_TIME_MODELS = (
    "int_qi__chart_value",
    "int_qi__chart_limit",
    "int_qi__chart_target",
    "spc_point",
    "spc_series",
)


@dataclass(frozen=True)
class Point:
    """One month of a chart; None where nothing was counted or measured."""

    month: date
    value: float | None
    numerator: float | None = None
    denominator: float | None = None


@dataclass(frozen=True)
class Unit:
    """One unit of a funnel; ``funnel`` names the funnel that it stands in."""

    name: str
    numerator: int
    denominator: int
    funnel: str = OWN


@dataclass(frozen=True)
class OwnChart:
    """A chart over time of a reader's own numbers.

    Attributes:
        chart_id: names the chart in what comes out.
        kind: xmr, p_prime, u_prime, p, u or run.
        better: up, down or neutral.
        points: its months, each once.
        changes: months from which its limits are taken afresh.
        target: what it is to reach.
    """

    chart_id: str
    kind: str
    better: str
    points: Sequence[Point]
    changes: Sequence[date] = ()
    target: float | None = None


@contextmanager
def judged_charts(
    project: Path, charts: Sequence[OwnChart], rules: Quality
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a database that holds the charts' ``qi.spc_series`` and ``qi.spc_point``.

    Args:
        project: the dbt project's folder.
        charts: the charts, each with an id of its own.
        rules: how charts are judged: screening, floor, and the points of shift and trend.
    """
    texts = _texts(project)
    with in_memory() as con:
        con.execute("create schema control; create schema qi")
        _lay(
            con,
            "control.setting",
            {"name": "varchar", "number": "double", "text": "varchar"},
            [
                ("qi.screen_moving_ranges", float(rules.screen_moving_ranges), None),
                ("qi.sigma_z_floor", float(rules.sigma_z_floor), None),
                ("qi.shift_points", rules.shift_points, None),
                ("qi.trend_points", rules.trend_points, None),
            ],
        )
        _lay(
            con,
            "control.process_change",
            {
                "chart_pattern": "varchar",
                "clinic": "varchar",
                "from_date": "date",
                "note": "varchar",
            },
            [
                (re.escape(chart.chart_id), None, month, f"change from {month:%Y-%m}")
                for chart in charts
                for month in sorted(set(chart.changes))
            ],
        )
        _lay(
            con,
            "control.target",
            {
                "position": "integer",
                "chart_pattern": "varchar",
                "clinic": "varchar",
                "value": "double",
            },
            [
                (place, re.escape(chart.chart_id), None, chart.target)
                for place, chart in enumerate(charts)
                if chart.target is not None
            ],
        )
        _lay(con, "dim_clinic", {"clinic_key": "varchar", "clinic_name": "varchar"}, [])
        _lay_points(con, charts)
        seed = literal(str(texts.seed("run_chart_bound")))
        con.execute(f"create table run_chart_bound as from read_csv({seed})")
        for name in _TIME_MODELS:
            con.execute(f"create table {_relation(name)} as {texts.model(name)}")
        yield con


@contextmanager
def judged_units(
    project: Path, units: Sequence[Unit]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a database that holds the units' ``qi.clinic_funnel``; none of them is hidden."""
    texts = _texts(project)
    with in_memory() as con:
        con.execute("create schema qi")
        _lay(
            con,
            "int_qi__funnel_unit",
            {
                "indicator": "varchar",
                "clinic_key": "varchar",
                "window_start": "date",
                "window_end": "date",
                "n_clients": "integer",
                "numerator": "integer",
                "denominator": "integer",
                "is_shown": "boolean",
            },
            [
                (
                    unit.funnel,
                    unit.name,
                    *[None] * 3,
                    unit.numerator,
                    unit.denominator,
                    True,
                )
                for unit in units
            ],
        )
        con.execute(f"create table qi.clinic_funnel as {texts.model('clinic_funnel')}")
        yield con


@cache
def _texts(project: Path) -> ModelTexts:
    return ModelTexts(project, ref=_relation)


def _relation(name: str) -> str:
    return f"qi.{name}" if name in _PUBLISHED else name


def _lay_points(con: duckdb.DuckDBPyConnection, charts: Sequence[OwnChart]) -> None:
    """Lay the step of the build that says what charts draw, from the charts' points."""
    rows = [(chart, point) for chart in charts for point in chart.points]
    counts = [n for _, p in rows for n in (p.numerator, p.denominator) if n is not None]
    # A denominator may be a fraction, of a thousand days say; the build only counts.
    count = "integer" if all(n == int(n) for n in counts) else "double"
    _lay(
        con,
        "int_qi__chart_drawn",
        {
            "chart_id": "varchar",
            "indicator": "varchar",
            "instrument": "varchar",
            "kind": "varchar",
            "direction": "varchar",
            "clinic_key": "varchar",
            "month": "date",
            "value": "double",
            "numerator": count,
            "denominator": count,
            "used": "boolean",
        },
        [
            (
                chart.chart_id,
                OWN,
                None,
                chart.kind,
                chart.better,
                "all",
                point.month,
                point.value,
                point.numerator,
                point.denominator,
                None if point.value is None else True,
            )
            for chart, point in rows
        ],
    )


def _lay(
    con: duckdb.DuckDBPyConnection,
    table: str,
    columns: dict[str, str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Create a table and fill it from one literal.

    A bound parameter would make the engine load pandas, which takes longer than the chart.
    """
    typed = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    con.execute(f"create table {table} ({typed})")
    if not rows:
        return
    said = [dict(zip(columns, row, strict=True)) for row in rows]
    shape = literal(json.dumps([columns]))
    given = literal(json.dumps(said, default=str))
    con.execute(
        f"insert into {table}"
        f" select unnest(from_json({given}, {shape}), recursive := true)"
    )


def literal(text: str) -> str:
    """Write a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
