"""Do people get better? p′ charts: improved, deteriorated, recovered, paired."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
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
        "instruments": [entry for entry in found if entry["was_used"]],
        "unused": [entry["name"] for entry in found if not entry["was_used"]],
    }


def _instrument(snapshot: Snapshot, name: str, rows: list[Row]) -> dict[str, Any]:
    charts = []
    for share, title in SHARES.items():
        series = snapshot.series[f"{share}.{name}", "all"]
        size = "full" if share == "improved" else "small"
        charts.append(
            {
                "share": share,
                "series": series,
                "chart": time_chart(series, f"{name}: share {title}", "share", size),
                "why": why_empty(series.points),
            }
        )
    # Paired only with itself: a month in which every episode lacks a second score.
    was_used = any(row["n_paired"] != 0 for row in rows)
    return {
        "name": name, "rows": rows, "month": latest(rows), "charts": charts,
        "was_used": was_used,
    }  # fmt: skip
