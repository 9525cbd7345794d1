"""What several pages share: the chart of a series, and rows put in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rapport.dashboard.charts import Size, TimeChart
from rapport.dashboard.snapshot import Series
from rapport.dashboard.words import HIDDEN, Kind, Row

SPAN = 60


def slug(*parts: str) -> str:
    """Return a name for an element: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def time_chart(
    series: Series,
    title: str,
    unit: Kind = "share",
    size: Size = "full",
    span: tuple[float, float] | None = None,
) -> TimeChart:
    """Return the chart of the last five years of a series of the whole service."""
    return TimeChart(
        slug(series.chart_id), title, unit, series.points[-SPAN:], series.segments, size, span
    )  # fmt: skip


def span_of(all_series: Iterable[Series]) -> tuple[float, float] | None:
    """Return one axis for several charts, so that their heights can be compared."""
    values = [
        row[name]
        for series in all_series
        for row in series.points[-SPAN:]
        for name in ("value", "lcl", "ucl")
        if row[name] is not None
    ]
    return (min(values), max(values)) if values else None


def why_empty(rows: Sequence[Row], column: str = "value") -> str:
    """Say why there is nothing to draw; nothing when there is."""
    if any(row[column] is not None for row in rows):
        return ""
    hidden = any(row.get("is_hidden") or row.get("suppressed") for row in rows)
    if hidden:
        return f"Nothing to draw: what there is, is {HIDDEN}."
    return "Nothing to draw: there is no value yet."


def newest(rows: Sequence[Row], key: str) -> Any:
    """Return the last complete period that can be shown; else the last complete one."""
    complete = [row for row in rows if not row["is_partial"]] or list(rows)
    shown = [row for row in complete if not row["suppressed"] and row["n_clients"]]
    return (shown or complete)[-1][key]


def most_used(names: Iterable[str], rows: Iterable[Row], column: str) -> list[str]:
    """Return instruments by how much there is of each, the most first; ties by name."""
    counted: dict[str, int] = {}
    for row in rows:
        n = row[column] or 0
        counted[row["instrument"]] = counted.get(row["instrument"], 0) + n
    return sorted(names, key=lambda name: (-counted.get(name, 0), name))


def grouped(rows: Iterable[Row], *keys: str) -> dict[Any, list[Row]]:
    """Return rows by the value of a column, or by the tuple of several, in their order."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = row[keys[0]] if len(keys) == 1 else tuple(row[k] for k in keys)
        groups.setdefault(key, []).append(row)
    return groups
