"""Who is served less well? Dots with Wilson intervals beside the overall line."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Dot, DotChart
from rapport.dashboard.page.clinics import INDICATORS
from rapport.dashboard.page.parts import grouped, slug
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Row, half_up, said, shown

DIMENSIONS = {
    "race_group": "Race and ethnicity",
    "sex": "Sex",
    "age_band": "Age",
    "state": "State",
    "trauma_focused": "Trauma-focused work",
}
COMPARISONS_A_CHANCE_FINDING = 20


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what equity.html shows."""
    rows = snapshot.rows(queries.EQUITY)
    compared = [row for row in rows if row["includes_overall"] is not None]
    by_chart = grouped(rows, "dimension", "indicator")
    return {
        "dimensions": [
            {
                "name": dimension,
                "label": label,
                "charts": [
                    _chart(dimension, label, indicator, by_chart[dimension, indicator])
                    for indicator in INDICATORS
                    if (dimension, indicator) in by_chart
                ],
            }
            for dimension, label in DIMENSIONS.items()
            if any((dimension, indicator) in by_chart for indicator in INDICATORS)
        ],
        "n_compared": len(compared),
        "n_by_chance": half_up(len(compared) / COMPARISONS_A_CHANCE_FINDING, 0),
        "window": rows[0] if rows else None,
    }


def _chart(
    dimension: str, label: str, indicator: str, found: list[Row]
) -> dict[str, Any]:
    rows = [{**row, "group": _group(dimension, row["group_value"])} for row in found]
    overall = next(
        (r["overall_value"] for r in rows if r["overall_value"] is not None), None
    )
    return {
        "indicator": indicator,
        "label": INDICATORS[indicator],
        "rows": rows,
        "shown": [row for row in rows if row["includes_overall"] is not None],
        "chart": DotChart(
            slug("equity", dimension, indicator),
            f"{label}: {INDICATORS[indicator]}",
            [_dot(row) for row in rows],
            overall,
        ),
    }  # fmt: skip


def _group(dimension: str, value: str) -> str:
    if dimension == "trauma_focused":
        names = {"true": "Trauma-focused", "false": "Not trauma-focused"}
        return names.get(value, "Not known")
    if value == "unknown":
        return "Not known"
    if dimension == "state":
        return value
    text = shown(value, "word")
    return text[:1].upper() + text[1:]


def _dot(row: Row) -> Dot:
    text = said(row, "value", "share", "denominator")
    if row["value"] is None:
        return Dot(row["group"], None, said=text)
    text = f"{text} of {row['denominator']:,}"
    return Dot(row["group"], row["value"], row["ci_low"], row["ci_high"], text)
