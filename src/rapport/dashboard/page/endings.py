"""How does work end? The p′ chart of dropout; bars by reason and by rupture pattern."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Bar, BarChart
from rapport.dashboard.page.parts import grouped, time_chart, why_empty
from rapport.dashboard.snapshot import Snapshot, latest
from rapport.dashboard.words import Row, said

REASONS = (
    "completed", "dropped_out", "referred", "transferred", "declined", "deceased",
    "other", "unknown",
)  # fmt: skip
PATTERNS = {
    "no_rupture": "no rupture",
    "repaired": "repaired",
    "pending": "pending",
    "unrepaired": "unrepaired",
    "insufficient": "too few forms",
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what endings.html shows."""
    rows = grouped(snapshot.rows(queries.ENDINGS), "pattern")
    if "all" not in rows:
        return {"series": None}
    series = snapshot.series["dropout", "all"]
    month = latest(rows["all"])
    patterns = {name: latest(found) for name, found in rows.items()}
    return {
        "series": series,
        "chart": time_chart(series, "Share of known endings that were dropouts"),
        "why": why_empty(series.points),
        "month": month,
        "patterns": patterns,
        "rows": rows,
        "reasons": _reasons(month),
        "by_pattern": _by_pattern(patterns),
        "rules": [row["dropout_rule"] for row in snapshot.rows(queries.DROPOUT_RULES)],
    }


def _reasons(month: Row | None) -> BarChart:
    bars = []
    for reason in REASONS if month else ():
        column = f"n_{reason}"
        n = (month or {})[column]
        parts = () if n is None else (("", n),)
        bars.append(
            Bar(reason.replace("_", " "), parts, said(month or {}, column, "count"))
        )
    return BarChart("endings-reason", "Episodes closed, by reason", bars)


def _by_pattern(patterns: dict[str, Any]) -> BarChart:
    bars = []
    for pattern, label in PATTERNS.items():
        row = patterns[pattern]
        text = said(row, "dropout_share", "share", "n_dropout_known")
        if row["dropout_share"] is None:
            bars.append(Bar(label, (), text))
        else:
            text = f"{text} of {row['n_dropout_known']:,}"
            bars.append(Bar(label, (("", row["dropout_share"]),), text))
    return BarChart(
        "endings-pattern", "Share of dropouts, by rupture pattern", bars, 1.0
    )
