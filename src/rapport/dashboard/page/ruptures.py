"""Do ruptures get repaired? The rate, what became of them, and the share repaired."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Bar, Flow
from rapport.dashboard.page.parts import grouped, most_used, slug, time_chart, why_empty
from rapport.dashboard.snapshot import Snapshot, latest
from rapport.dashboard.words import Row, shown

PRIMARY = "default_rc3"
# What becomes of a rupture, with the look of its stream.
ENDS = (
    ("repaired", "n_resolved", ""),
    ("repaired late", "n_late_repair", "b4"),
    ("still pending", "n_pending", "b3"),
    ("not repaired", "n_unrepaired", "warn"),
)


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what ruptures.html shows."""
    found = snapshot.rows(queries.RUPTURES)
    rows = grouped(found, "method", "instrument", "lead_component")
    flows = {
        row["instrument"]: row
        for row in snapshot.rows(queries.FLOW, minimum=snapshot.qi.small_cell_min)
    }
    instruments = most_used(
        {i for m, i, _ in rows if m == PRIMARY}, found, "n_scored_sessions"
    )
    newest = [latest(of) for (_, _, lead), of in rows.items() if lead == "all"]
    return {
        "instruments": [
            _instrument(snapshot, name, rows, flows.get(name)) for name in instruments
        ],
        "others": [row for row in newest if row and row["method"] != PRIMARY],
        "methods": snapshot.rows(queries.METHODS),
    }


def _instrument(
    snapshot: Snapshot,
    name: str,
    rows: dict[tuple[str, str, str], list[Row]],
    flow: Row | None,
) -> dict[str, Any]:
    rate = snapshot.series[f"rupture_rate.{PRIMARY}.{name}", "all"]
    repaired = snapshot.series[f"repaired.{PRIMARY}.{name}", "all"]
    months = rows[PRIMARY, name, "all"]
    leads = [
        latest(rows[PRIMARY, name, c]) for c in ("all", "goal", "task", "bond", "none")
    ]
    return {
        "name": name,
        "rows": months,
        "month": latest(months),
        "leads": leads,
        "rate": rate,
        "rate_chart": time_chart(rate, f"{name}: ruptures per 100 scored sessions", "rate"),
        "repaired": repaired,
        "repaired_chart": time_chart(repaired, f"{name}: share of settled ruptures repaired"),
        "why_rate": why_empty(rate.points),
        "why_repaired": why_empty(repaired.points),
        "flow": flow,
        "flow_chart": _flow(name, flow),
    }  # fmt: skip


def _flow(name: str, flow: Row | None) -> Flow | None:
    if flow is None or flow["suppressed"]:
        return None
    ends = [
        Bar(label, ((css, flow[column]),), shown(flow[column], "count"))
        for label, column, css in ENDS
    ]
    title = f"{name}: what became of the ruptures of twelve months"
    return Flow(slug("flow", name), title, "ruptures", flow["n_ruptures"], ends)
