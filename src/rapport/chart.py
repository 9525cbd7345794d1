"""``rapport chart``: a reader's own numbers through the dashboard's limits and rules.

It needs no published snapshot and no RAPPORT_HOME. The numbers are judged by the project's
own models (``warehouse.own_numbers``), told and drawn as the pages tell and draw theirs.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from rapport.dashboard import queries
from rapport.dashboard.charts import Funnel, TimeChart
from rapport.dashboard.words import (
    Kind,
    Row,
    half_up,
    listed,
    month_name,
    shown,
    verdict,
)
from rapport.errors import UsageError
from rapport.settings import Quality
from rapport.warehouse.own_numbers import (
    OWN,
    OwnChart,
    Point,
    Unit,
    judged_charts,
    judged_units,
)

ChartKind = Literal["xmr", "p_prime", "u_prime", "p", "u", "run", "funnel"]
Better = Literal["up", "down", "neutral"]
KINDS: tuple[ChartKind, ...] = get_args(ChartKind)

_SHARES = ("p", "p_prime")
_RATES = ("u", "u_prime")
_HEADERS = (
    ("month", "value"),
    ("month", "numerator", "denominator"),
    ("unit", "numerator", "denominator"),
)
_FORMS = "month,value · month,numerator,denominator · unit,numerator,denominator"
_MOST_PROBLEMS = 10
_MOST_LINES = 5000
_MOST_OF_A_UNIT = 1_000_000
_MONTH = re.compile(r"^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?$")
_HOW = "docs/how-to/chart-your-own-numbers.md"


@dataclass(frozen=True)
class Line:
    """One row of the file, its numbers read; the header is line 1."""

    number: int
    name: str
    numbers: tuple[float | None, ...]


@dataclass(frozen=True)
class Figures:
    """What the file holds: the names of its columns, and its rows."""

    header: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Wish:
    """What the chart is to be.

    Attributes:
        kind: its kind; None: xmr for values, p_prime for counts, funnel for units.
        better: which way is better.
        target: what is to be reached.
        changes: months from which limits are taken afresh.
    """

    kind: ChartKind | None = None
    better: Better = "neutral"
    target: float | None = None
    changes: tuple[date, ...] = ()


def chart_of(
    project_root: Path, path: Path, wish: Wish, rules: Quality
) -> dict[str, Any]:
    """Judge the numbers of a file; return the JSON document of the interface.

    Raises:
        UsageError: the file, or a wish that does not fit it, is not valid (exit 2).
    """
    figures = read_figures(path)
    kind = wish.kind or _kind_of(figures)
    project = project_root / "dbt_project"
    if figures.header[0] == "unit" or kind == "funnel":
        return _funnel(project, figures, kind, wish)
    points = _points(figures, kind)
    chart = OwnChart(OWN, kind, wish.better, points, wish.changes, wish.target)
    with judged_charts(project, [chart], rules) as con:
        series = _rows(con, "select * from qi.spc_series order by segment")
        judged = _rows(con, "select * from qi.spc_point order by month")
        longest = _rows(con, f"{queries.LONGEST_RUN} order by segment")
    side = {row["segment"]: row["longest_side"] for row in longest}
    said = verdict(
        series[-1],
        judged,
        side.get(series[-1]["segment"]),
        rules.trend_points,
        rules.shift_points,
    )
    return {
        "series": series,
        "points": judged,
        "sentence": f"{_newest(series[-1], judged)}{said}",
    }


def drawn(found: dict[str, Any], title: str) -> str:
    """Draw what ``chart_of`` found, as an SVG that stands alone."""
    from rapport.dashboard.standalone import standalone_svg

    chart: TimeChart | Funnel
    if "units" in found:
        units = [{**unit, "label": unit["unit"]} for unit in found["units"]]
        chart = Funnel(OWN, title, units, found["target"])
    else:
        unit = _unit(found["series"][-1], found["points"])
        chart = TimeChart(OWN, title, unit, found["points"], found["series"])
    return standalone_svg(chart, found["sentence"])


# --- the file


def read_figures(path: Path) -> Figures:
    """Read a small CSV: one of three headers, a row a line, an empty value for a gap.

    Raises:
        UsageError: with every problem, by line and column, and never a value.
    """
    rows = _rows_of(path)
    if not rows:
        raise UsageError(
            "the file is empty", next_step=f"begin it with one of: {_FORMS}"
        )
    head = tuple(cell.strip().lower() for cell in rows[0][1])
    if head not in _HEADERS:
        raise UsageError(
            "line 1: the header is none of those that a chart is drawn from",
            next_step=f"begin the file with one of: {_FORMS} ({_HOW})",
        )
    if len(rows) == 1:
        raise UsageError("there is no row below the header", next_step=_HOW)
    problems: list[str] = []
    lines = [_line(head, number, cells, problems) for number, cells in rows[1:]]
    seen: dict[str, int] = {}
    for line in lines:
        if line.name and line.name in seen:
            problems.append(
                f"line {line.number}, {head[0]}: the same as on line {seen[line.name]}"
            )
        seen.setdefault(line.name, line.number)
    _stop_for(problems)
    return Figures(head, tuple(lines))


def _rows_of(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError("there is no such file", next_step="name a CSV file") from None
    except IsADirectoryError:
        raise UsageError("that is a folder", next_step="name a CSV file") from None
    except UnicodeDecodeError:
        raise UsageError(
            "the file is not UTF-8 text",
            next_step="save it as CSV UTF-8 (in Excel: Save as, CSV UTF-8)",
        ) from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        rows = [(reader.line_num, row) for row in reader if any(c.strip() for c in row)]
    except csv.Error:
        raise UsageError(
            "the file is not CSV: a quotation mark is not closed", next_step=_HOW
        ) from None
    if len(rows) > _MOST_LINES:
        raise UsageError(f"more than {_MOST_LINES:,} lines are no chart for people")
    if delimiter == ";":  # what a spreadsheet writes where the comma is decimal
        rows = [
            (n, [row[0], *(c.replace(",", ".") for c in row[1:])]) for n, row in rows
        ]
    return rows


def _line(
    head: tuple[str, ...], number: int, cells: list[str], problems: list[str]
) -> Line:
    if len(cells) != len(head):
        problems.append(
            f"line {number}: {len(cells)} cells, and the header has {len(head)}"
        )
        return Line(number, "", ())
    name = cells[0].strip()
    if head[0] == "month":
        month = _month(name)
        if month is None:
            problems.append(f"line {number}, month: not a month such as 2025-07")
        name = month.isoformat() if month else ""
    elif not name:
        problems.append(f"line {number}, unit: a unit needs a name")
    numbers = []
    for column, cell in zip(head[1:], cells[1:], strict=True):
        try:
            numbers.append(_number(cell.strip()))
        except ValueError:
            problems.append(f"line {number}, {column}: not a number such as 12 or 0.75")
            numbers.append(None)
    return Line(number, name, tuple(numbers))


def _number(text: str) -> float | None:
    if not text:
        return None
    number = float(text)
    if "_" in text or not math.isfinite(number):
        raise ValueError
    return number


def _month(text: str) -> date | None:
    """Read a month, or a day of it, as the first day of the month."""
    found = _MONTH.match(text)
    if not found:
        return None
    year, month, day = (int(part) if part else 1 for part in found.groups())
    try:
        return date(year, month, day).replace(day=1)
    except ValueError:
        return None


def parse_change(text: str) -> date:
    """Read the month of ``--change``.

    Raises:
        UsageError: it is not a month.
    """
    month = _month(text)
    if month is None:
        raise UsageError("--change: a month is written like 2025-07")
    return month


def _stop_for(problems: list[str]) -> None:
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        told = problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise UsageError(
            "\n".join(["the file can't be charted:", *(f"  {line}" for line in told)]),
            next_step=f"correct these lines ({_HOW})",
        )


# --- what the numbers may be


def _kind_of(figures: Figures) -> ChartKind:
    if figures.header[0] == "unit":
        return "funnel"
    return "xmr" if figures.header == _HEADERS[0] else "p_prime"


def _points(figures: Figures, kind: ChartKind) -> list[Point]:
    has_counts = len(figures.header) == 3
    if kind in (*_SHARES, *_RATES) and not has_counts:
        raise UsageError(
            f"a chart of kind {kind} needs month,numerator,denominator",
            next_step="for values alone: --kind xmr or --kind run",
        )
    if not has_counts:
        return [
            Point(date.fromisoformat(line.name), line.numbers[0])
            for line in figures.lines
        ]
    problems = [p for line in figures.lines for p in _count_problems(line, kind)]
    _stop_for(problems)
    points = []
    for line in figures.lines:
        of, out_of = line.numbers
        month = date.fromisoformat(line.name)
        if of is None or not out_of:  # nothing to share: a gap, never 0
            points.append(Point(month, None))
        else:
            points.append(Point(month, of / out_of, of, out_of))
    return points


def _count_problems(line: Line, kind: ChartKind) -> list[str]:
    of, out_of = line.numbers
    where = f"line {line.number}, "
    found = []
    if out_of is not None and out_of < 0:
        found.append(f"{where}denominator: less than 0")
    if of is not None and of < 0:
        found.append(f"{where}numerator: less than 0")
    if kind in (*_SHARES, *_RATES, "funnel") and of is not None and of != int(of):
        found.append(f"{where}numerator: a count is a whole number")
    if of is None or out_of is None or found:
        return found
    if kind in (*_SHARES, "funnel"):
        if out_of != int(out_of):
            found.append(f"{where}denominator: a count is a whole number")
        if of > out_of:
            rate = "" if kind == "funnel" else "; for a rate: --kind u_prime"
            found.append(f"{where}numerator: more than the denominator{rate}")
    elif out_of == 0 and of > 0:
        found.append(f"{where}denominator: 0, and the numerator is not")
    return found


# --- the funnel


def _funnel(
    project: Path, figures: Figures, kind: ChartKind, wish: Wish
) -> dict[str, Any]:
    if kind != "funnel" or figures.header[0] != "unit":
        raise UsageError(
            "a funnel is drawn from unit,numerator,denominator, and nothing else is",
            next_step="for months, leave --kind funnel out",
        )
    if wish.target is not None or wish.changes:
        raise UsageError(
            "a funnel's target is the share of all units; it has no months",
            next_step="leave --target and --change out",
        )
    problems = [p for line in figures.lines for p in _count_problems(line, kind)]
    problems += [
        f"line {line.number}, denominator: more than {_MOST_OF_A_UNIT:,}"
        for line in figures.lines
        if (line.numbers[1] or 0) > _MOST_OF_A_UNIT
    ]
    _stop_for(problems)
    units = [
        Unit(line.name, int(line.numbers[0] or 0), int(line.numbers[1] or 0))
        if None not in line.numbers
        else Unit(line.name, 0, 0)
        for line in figures.lines
    ]
    with judged_units(project, units) as con:
        rows = _rows(con, "select * from qi.clinic_funnel order by clinic_key")
    pooled = {name: rows[0][name] for name in ("target", "phi", "tau2", "adjusted")}
    return {
        **pooled,
        "units": [{"unit": row["clinic_key"], **row} for row in rows],
        "sentence": _funnel_sentence(rows, pooled),
    }


def _funnel_sentence(rows: Sequence[Row], pooled: dict[str, Any]) -> str:
    counted = [row for row in rows if row["denominator"]]
    if all(row["position"] is None for row in counted):
        return (
            "No limits: they need two units, and a share that is neither none nor all."
        )
    outside = [r["clinic_key"] for r in counted if r["position"] in ("low", "high")]
    names = f" ({listed(outside)})" if outside else ""
    phi = (
        f", after allowing for φ = {half_up(pooled['phi'], 2)}"
        if pooled["adjusted"]
        else ""
    )
    verb = "lies" if len(outside) == 1 else "lie"
    return (
        f"{len(outside)} of {len(counted)} units {verb} outside the 99.8 % limits"
        f"{names}{phi}. Not adjusted for case mix."
    )


# --- words


def _unit(series: Row, points: Sequence[Row]) -> Kind:
    if series["kind"] in _SHARES:
        return "share"
    if series["kind"] in _RATES:
        return "rate"
    values = [p["value"] for p in points if p["denominator"] is not None]
    is_share = bool(values) and max(values) <= 1
    return "share" if is_share else "number"


def _newest(series: Row, points: Sequence[Row]) -> str:
    used = [p for p in points if p["used"] and p["segment"] == series["segment"]]
    if not used:
        return ""
    point = used[-1]
    unit = _unit(series, points)
    value = shown(point["value"], unit) + (" per 100" if unit == "rate" else "")
    if point["denominator"] is None:
        said = f"{value} in {month_name(point['month'])}"
    else:
        counts = (f"{point[name]:,}" for name in ("numerator", "denominator"))
        said = f"{' of '.join(counts)} in {month_name(point['month'])} ({value})"
    if point["cl"] is None:
        return f"{said}. "
    centre, low, high = (shown(point[name], unit) for name in ("cl", "lcl", "ucl"))
    return f"{said}. Centre {centre}, {series['limits']} limits {low} to {high}. "


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    answer = con.execute(query)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
