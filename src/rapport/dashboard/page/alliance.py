"""How are goal, task and bond? An XmR chart a component, client and therapist."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.page.parts import (
    grouped,
    most_used,
    span_of,
    time_chart,
    why_empty,
)
from rapport.dashboard.snapshot import Series, Snapshot

COMPONENTS = ("total", "goal", "task", "bond")


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what alliance.html shows."""
    found = snapshot.rows(queries.ALLIANCE)
    rows = grouped(found, "instrument", "rater")
    instruments = most_used({name for name, _ in rows}, found, "n_sessions")
    return {
        "instruments": [
            {
                "name": instrument,
                "raters": [
                    _rater(snapshot, instrument, rater, rows[instrument, rater])
                    for rater in ("client", "therapist")
                    if (instrument, rater) in rows
                ],
            }
            for instrument in instruments
        ]
    }


def _rater(
    snapshot: Snapshot, instrument: str, rater: str, rows: list[Any]
) -> dict[str, Any]:
    found = [
        snapshot.series[f"alliance.{instrument}.{rater}.{component}", "all"]
        for component in COMPONENTS
    ]
    span = span_of(found[1:])
    return {
        "rater": rater,
        "rows": rows,
        "charts": [
            _component(series, instrument, rater, component, span)
            for series, component in zip(found, COMPONENTS, strict=True)
        ],
    }


def _component(
    series: Series,
    instrument: str,
    rater: str,
    component: str,
    span: tuple[float, float] | None,
) -> dict[str, Any]:
    title = f"{instrument}, {rater}: mean {component} by month"
    is_total = component == "total"
    return {
        "component": component,
        "series": series,
        "why": why_empty(series.points),
        "chart": time_chart(
            series, title, "score", "full" if is_total else "small", None if is_total else span
        ),
    }  # fmt: skip
