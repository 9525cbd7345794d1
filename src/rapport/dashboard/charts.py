"""Charts as data, laid out for the SVG macros in ``templates/charts.html``.

A page (or `rapport chart`) fills one of the frozen classes; ``svg`` draws it. Nothing here
computes a limit: a chart draws the numbers of a qi table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Literal, TypeAlias

from rapport.dashboard.words import Kind, Row, half_up, short_month, shown

Size: TypeAlias = Literal["full", "small"]


@dataclass(frozen=True)
class TimeChart:
    """A control chart or run chart: months, limits, segments, special causes.

    Attributes:
        id: name of the figure, unique on its page; letters, digits and hyphens.
        title: what the chart shows, for a screen reader.
        unit: share (0 to 1), score (points) or rate (a share, shown per 100).
        points: rows with the columns of ``qi.spc_point``, in month order.
        segments: rows with the columns of ``qi.spc_series``, in order.
        size: full, or small for one of several side by side.
        span: lowest and highest value of the axis; None: from the chart's own numbers.
    """

    id: str
    title: str
    unit: Kind
    points: Sequence[Row]
    segments: Sequence[Row]
    size: Size = "full"
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Dot:
    """One row of a dot chart; without a value ``said`` tells why."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    said: str = ""


@dataclass(frozen=True)
class DotChart:
    """Shares with their intervals, one under the other, beside one overall line."""

    id: str
    title: str
    dots: Sequence[Dot]
    overall: float | None = None
    overall_label: str = "overall"


@dataclass(frozen=True)
class Bar:
    """One bar of stacked or single parts; each part is (kind, number)."""

    label: str
    parts: Sequence[tuple[str, float]]
    said: str = ""


@dataclass(frozen=True)
class BarChart:
    """Bars from one zero line; ``limit`` is the end of the axis, 1 for shares."""

    id: str
    title: str
    bars: Sequence[Bar]
    limit: float | None = None
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Flow:
    """What became of a number: a source of ``n`` that splits into ends."""

    id: str
    title: str
    label: str
    n: int
    ends: Sequence[Bar]


@dataclass(frozen=True)
class Funnel:
    """Units against limits by chance; rows with the columns of ``qi.clinic_funnel``.

    Each row also has ``label``, the unit's name. Limits stand only where a unit stands.
    """

    id: str
    title: str
    units: Sequence[Row]
    target: float | None


@dataclass(frozen=True)
class Lineage:
    """Boxes from top to bottom, each with a head and two lines, joined by arrows."""

    id: str
    title: str
    boxes: Sequence[tuple[str, Sequence[str]]]


Chart: TypeAlias = TimeChart | DotChart | BarChart | Flow | Funnel | Lineage


# --- axes


def nice_ticks(low: float, high: float, n: int = 4) -> list[float]:
    """Return round values from at or below ``low`` to at or above ``high``."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * k, 9) for k in range(first, last + 1)]


def _axis(low: float, high: float, unit: Kind, n: int = 6) -> list[float]:
    """Return the ticks of a time chart; shares and rates stay within their bounds."""
    pad = (high - low) * 0.06
    if unit == "share":
        low, high = max(0.0, low - pad), min(1.0, high + pad)
        if high - low < 0.2:
            low, high = max(0.0, high - 0.2), max(0.2, high)
    elif unit == "rate":
        low, high = max(0.0, low - pad), high + pad
    else:
        low, high = low - pad, high + pad
    ticks = nice_ticks(low, high, n)
    return [t for t in ticks if unit != "share" or -1e-9 <= t <= 1 + 1e-9]


def _tick(value: float, unit: Kind, step: float) -> str:
    if unit == "share":
        return f"{half_up(value * 100, 0 if step >= 0.0099 else 1)} %"
    scale = 100 if unit == "rate" else 1
    digits = 0 if step * scale >= 0.999 else 1 if step * scale >= 0.0999 else 2
    return half_up(value * scale, digits)


# --- charts over time


@dataclass(frozen=True)
class TimeDrawing:
    """A time chart in the units of its view box."""

    chart: TimeChart
    width: int
    height: int
    left: float
    right: float
    bottom: float
    levels: Sequence[tuple[float, str]]
    months: Sequence[tuple[float, str, bool]]
    bands: Sequence[str]
    lines: Sequence[tuple[str, str]]
    path: str
    common: str
    marks: Sequence[tuple[str, float, float, str]]
    hollow: Sequence[tuple[float, float]]
    breaks: Sequence[tuple[float, int]]
    labels: Sequence[tuple[float, str, str]]


_FRAMES = {"full": (640, 266, 48, 100, 18, 38), "small": (320, 168, 54, 10, 16, 34)}
_LIMITS = ("ucl", "cl", "lcl")
_NAMES = {"ucl": "upper", "cl": "centre", "lcl": "lower"}


class _Plane:
    """Where a month and a value lie on the chart."""

    def __init__(self, chart: TimeChart, months: Sequence[date]) -> None:
        self.width, self.height, self.left, right, self.top, bottom = _FRAMES[
            chart.size
        ]
        self.right = self.width - right
        self.bottom = self.height - bottom
        self._first = months[0].year * 12 + months[0].month if months else 0
        last = months[-1].year * 12 + months[-1].month if months else 0
        self.step = (self.right - self.left) / (last - self._first + 1)
        low, high = chart.span or _span(chart)
        self.ticks = _axis(low, high, chart.unit, 6 if chart.size == "full" else 4)
        self._low, self._high = self.ticks[0], self.ticks[-1]

    def x(self, month: date) -> float:
        n = month.year * 12 + month.month - self._first
        return self.left + self.step * (n + 0.5)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self.bottom - share * (self.bottom - self.top)


def _span(chart: TimeChart) -> tuple[float, float]:
    values = [
        row[name]
        for row in chart.points
        for name in ("value", "lcl", "ucl")
        if row[name] is not None
    ]
    values += [s["target"] for s in chart.segments if s["target"] is not None]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _draw_time(chart: TimeChart) -> TimeDrawing:
    plane = _Plane(chart, [row["month"] for row in chart.points])
    there = [row for row in chart.points if row["value"] is not None]
    used = [row for row in there if row["used"]]
    icons = [row for row in used if (row["icon"] or "common_cause") != "common_cause"]
    plain = [row for row in used if (row["icon"] or "common_cause") == "common_cause"]
    tick_step = plane.ticks[1] - plane.ticks[0] if len(plane.ticks) > 1 else 1.0
    return TimeDrawing(
        chart=chart,
        width=plane.width,
        height=plane.height,
        left=plane.left,
        right=plane.right,
        bottom=plane.bottom,
        levels=[
            (round(plane.y(t), 1), _tick(t, chart.unit, tick_step)) for t in plane.ticks
        ],
        months=_month_labels(chart, plane),
        bands=[_band(run, plane) for run in _runs(chart.points, "cl")],
        lines=[*_limit_lines(chart, plane), *_flat_lines(chart, plane)],
        path=" ".join(_value_path(used, plane)),
        common="".join(f"M{plane.x(r['month']):.1f} {plane.y(r['value']):.1f}h0" for r in plain),
        marks=[
            (
                r["icon"].split("_")[0],
                round(plane.x(r["month"]), 1),
                round(plane.y(r["value"]), 1),
                "H" if r["side"] == "up" else "L",
            )
            for r in icons
        ],
        hollow=[
            (round(plane.x(r["month"]), 1), round(plane.y(r["value"]), 1))
            for r in there
            if not r["used"]
        ],
        breaks=_breaks(chart, plane),
        labels=_end_labels(chart, plane),
    )  # fmt: skip


def _runs(points: Sequence[Row], column: str) -> Iterator[list[Row]]:
    """Cut the months with limits into stretches without a gap, a segment at a time."""
    with_limits = [(n, row) for n, row in enumerate(points) if row[column] is not None]
    for _, group in groupby(
        enumerate(with_limits), key=lambda e: (e[1][1]["segment"], e[1][0] - e[0])
    ):
        yield [row for _, (_, row) in group]


def _step_line(run: Sequence[Row], column: str, plane: _Plane) -> list[str]:
    places = []
    for row in run:
        x, y = plane.x(row["month"]), plane.y(row[column])
        left, right = f"{x - plane.step / 2:.1f}", f"{x + plane.step / 2:.1f}"
        places += [f"{left} {y:.1f}", f"{right} {y:.1f}"]
    return places


def _band(run: Sequence[Row], plane: _Plane) -> str:
    upper = _step_line(run, "ucl", plane)
    lower = _step_line(run, "lcl", plane)
    return "M" + "L".join(upper + lower[::-1]) + "Z"


def _limit_lines(chart: TimeChart, plane: _Plane) -> list[tuple[str, str]]:
    lines = []
    for run in _runs(chart.points, "cl"):
        kind = run[0]["limits"]
        for name in _LIMITS:
            css = "centre" if name == "cl" else f"limit {kind}"
            lines.append((css, "M" + "L".join(_step_line(run, name, plane))))
    return lines


def _flat_lines(chart: TimeChart, plane: _Plane) -> list[tuple[str, str]]:
    """Lay the median of a segment without limits, and the target of any."""
    lines = []
    for segment in chart.segments:
        months = [
            row["month"]
            for row in chart.points
            if row["segment"] == segment["segment"] and row["value"] is not None
        ]
        if not months:
            continue
        left = plane.x(months[0]) - plane.step / 2
        right = plane.x(months[-1]) + plane.step / 2
        median = segment["run_median"]
        flat = [("target", segment["target"])]
        if segment["limits"] == "none":
            flat.append(("median", median))
        lines += [
            (css, f"M{left:.1f} {plane.y(value):.1f}H{right:.1f}")
            for css, value in flat
            if value is not None
        ]
    return lines


def _value_path(used: Sequence[Row], plane: _Plane) -> Iterator[str]:
    segment = None
    for row in used:
        pen = "L" if row["segment"] == segment else "M"
        segment = row["segment"]
        yield f"{pen}{plane.x(row['month']):.1f} {plane.y(row['value']):.1f}"


def _month_labels(chart: TimeChart, plane: _Plane) -> list[tuple[float, str, bool]]:
    """Choose at most seven months to name; every other one gives way when it is narrow."""
    months = [row["month"] for row in chart.points]
    most = 7 if chart.size == "full" else 2
    steps = (1, 2, 3, 6, 12, 24, 60)
    step = next((s for s in steps if len(months) / s <= most), 120)
    named = [m for m in months if (m.year * 12 + m.month - 1) % step == 0]
    return [
        (round(plane.x(m), 1), short_month(m), n % 2 == 1) for n, m in enumerate(named)
    ]


def _breaks(chart: TimeChart, plane: _Plane) -> list[tuple[float, int]]:
    """Return where a recorded process change begins a new segment, and its number."""
    drawn = {row["month"] for row in chart.points}
    return [
        (round(plane.x(s["start_month"]) - plane.step / 2, 1), s["segment"])
        for s in chart.segments
        if s["segment"] > 0 and s["start_month"] in drawn
    ]


def _end_labels(chart: TimeChart, plane: _Plane) -> list[tuple[float, str, str]]:
    """Name the lines at the right end with their newest values, from the top down."""
    if chart.size == "small" or not chart.segments:
        return []
    last = chart.segments[-1]
    found: list[tuple[str, float | None]] = [("target", last["target"])]
    limited = [row for row in chart.points if row["cl"] is not None]
    if last["limits"] != "none" and limited:
        found += [(_NAMES[name], limited[-1][name]) for name in _LIMITS]
    elif last["limits"] == "none":
        found.append(("median", last["run_median"]))
    placed = sorted((plane.y(v), name, v) for name, v in found if v is not None)
    labels: list[tuple[float, str, str]] = []
    for y, name, value in placed:
        y = max(y + 4, labels[-1][0] + 15) if labels else y + 4
        labels.append((round(y, 1), name, shown(value, chart.unit)))
    return labels


# --- the other charts


@dataclass(frozen=True)
class Laid:
    """A chart of rows: its height, and each row's place from the top."""

    chart: Any
    height: int
    rows: Sequence[tuple[float, Any]]
    scale: float = 1.0
    ticks: Sequence[tuple[float, str]] = ()


ROW = 32


def _draw_dots(chart: DotChart) -> Laid:
    """Share one axis from 0; it ends at the first round share that holds everything."""
    ends = [x for d in chart.dots for x in (d.value, d.high) if x is not None]
    most = max([*ends, chart.overall or 0.0])
    end = next((e for e in (0.1, 0.2, 0.4, 0.6) if most <= e), 1.0)
    ticks = [
        (n / 4, f"{half_up(end * 25 * n, 1).removesuffix('.0')} %") for n in range(5)
    ]
    rows = [(ROW * n + 30.0, dot) for n, dot in enumerate(chart.dots)]
    return Laid(chart, ROW * len(rows) + 44, rows, end, ticks)


def _draw_bars(chart: BarChart) -> Laid:
    """Lay bars out from the top; one without a label stands close to the one above."""
    most = max([sum(n for _, n in bar.parts) for bar in chart.bars] + [0])
    rows, y = [], 8.0
    for n, bar in enumerate(chart.bars):
        y += 0 if n == 0 else ROW if bar.label else 22
        rows.append((y, bar))
    return Laid(chart, int(y) + 38, rows, scale=chart.limit or most or 1)


def _draw_flow(chart: Flow) -> Laid:
    """Share the height out to the ends by their numbers, with room for each label."""
    sizes = [
        max(sum(n for _, n in end.parts) / (chart.n or 1), 0.0) for end in chart.ends
    ]
    rows, top, start = [], 10.0, 10.0
    for end, size in zip(chart.ends, sizes, strict=True):
        tall, room = 150 * size, max(28.0, 150 * size)
        rows.append((top + (room - tall) / 2, (end, tall, start)))
        top += room + 8
        start += tall
    return Laid(chart, int(max(top, 170)), rows)


@dataclass(frozen=True)
class Mark:
    """One unit of a funnel; its number stands on the side away from the centre."""

    x: float
    y: float
    is_outside: bool
    number: int
    is_above: bool


def _draw_funnel(chart: Funnel) -> dict[str, Any]:
    drawn = [u for u in chart.units if u["value"] is not None and u["denominator"]]
    ends = [u["denominator"] for u in drawn]
    x_ticks = nice_ticks(0, max(ends, default=1))
    values = [
        u[name]
        for u in drawn
        for name in ("value", *_funnel_columns(u))
        if u[name] is not None
    ]
    ticks = _axis(min(values, default=0.0), max(values, default=1.0), "share")
    left, right, top, bottom = 48.0, 560.0, 16.0, 300.0

    def x(n: float) -> float:
        return round(left + (right - left) * n / x_ticks[-1], 1)

    def y(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(bottom - (bottom - top) * share, 1)

    by_size = sorted(drawn, key=lambda u: (u["denominator"], u["label"]))
    lines = []
    for column in range(4):
        ends_of = [
            (x(u["denominator"]), y(u[_funnel_columns(u)[column]]))
            for u in by_size
            if u[_funnel_columns(u)[column]] is not None
        ]
        lines.append(
            "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in ends_of) if ends_of else ""
        )
    return {
        "chart": chart,
        "levels": [(y(t), _tick(t, "share", ticks[1] - ticks[0])) for t in ticks],
        "sizes": [(x(t), half_up(t, 0)) for t in x_ticks if t == int(t)],
        "target": y(chart.target) if chart.target is not None and drawn else None,
        "lines": lines,
        "marks": [
            Mark(
                x(u["denominator"]),
                y(u["value"]),
                u["position"] in ("low", "high"),
                n,
                chart.target is None or u["value"] >= chart.target,
            )
            for n, u in enumerate(chart.units, 1)
            if u["value"] is not None and u["denominator"]
        ],
        "stems": [
            (x(u["denominator"]), y(u[c[0]]), y(u[c[3]]))
            for u in by_size
            if u[(c := _funnel_columns(u))[0]] is not None
        ],
    }  # fmt: skip


def _funnel_columns(unit: Row) -> tuple[str, str, str, str]:
    """The limits that judge a unit: those widened for overdispersion when they exist."""
    if unit["adjusted"]:
        return ("od_ll998", "od_ll95", "od_ul95", "od_ul998")
    return ("ll998", "ll95", "ul95", "ul998")


def _draw_lineage(chart: Lineage) -> dict[str, Any]:
    tall, gap = 66, 24
    return {
        "chart": chart,
        "height": len(chart.boxes) * (tall + gap) - gap + 2,
        "tall": tall,
        "gap": gap,
        "boxes": [
            (1 + n * (tall + gap), head, lines)
            for n, (head, lines) in enumerate(chart.boxes)
        ],
    }


_DRAW: dict[type, tuple[str, Any]] = {
    TimeChart: ("time", _draw_time),
    DotChart: ("dots", _draw_dots),
    BarChart: ("bars", _draw_bars),
    Flow: ("flow", _draw_flow),
    Funnel: ("funnel", _draw_funnel),
    Lineage: ("lineage", _draw_lineage),
}


def laid_out(chart: Chart) -> tuple[str, Any]:
    """Return the name of the macro that draws a chart, and what it is handed."""
    name, draw = _DRAW[type(chart)]
    return name, draw(chart)
