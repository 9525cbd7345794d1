"""Do people get better? p′ charts: improved, deteriorated, recovered, paired."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Size
from rapport.dashboard.page.parts import grouped, time_chart, why_empty
from rapport.dashboard.snapshot import Snapshot, latest
from rapport.dashboard.words import Row

SHARES = {
    "improved": "improved reliably",
    "deteriorated": "deteriorated reliably",
    "recovered": "recovered",
    "paired": "paired",
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what outcomes.html shows."""
    by_instrument = grouped(snapshot.rows(queries.OUTCOMES), "instrument")
    found = [_instrument(snapshot, name, rows) for name, rows in by_instrument.items()]
    return {
        "instruments": [entry for entry in found if entry["is_drawn"]],
        "others": [entry for entry in found if not entry["is_drawn"]],
    }


def _instrument(snapshot: Snapshot, name: str, rows: list[Row]) -> dict[str, Any]:
    charts = []
    for share, title in SHARES.items():
        series = snapshot.series[f"{share}.{name}", "all"]
        size: Size = "full" if share == "improved" else "small"
        charts.append(
            {
                "share": share,
                "series": series,
                "chart": time_chart(series, f"{name}: share {title}", "share", size),
                "why": why_empty(series.points),
            }
        )
    return {
        "name": name,
        "rows": rows,
        "month": latest(rows),
        "charts": charts,
        "is_drawn": not all(chart["why"] for chart in charts),
    }
