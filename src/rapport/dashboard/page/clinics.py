"""Do clinics differ beyond chance? A funnel an indicator; clinics by name, never by value."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Funnel
from rapport.dashboard.page.parts import grouped, slug, why_empty
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Row, is_hidden

INDICATORS = {
    "completion_alliance": "alliance forms completed by clients",
    "repair": "ruptures repaired",
    "weak_early_alliance": "weak early alliance",
    "reliable_improvement": "reliable improvement",
    "dropout": "dropout",
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what clinics.html shows."""
    by_indicator = grouped(snapshot.rows(queries.FUNNEL), "indicator")
    return {
        "funnels": [
            _funnel(snapshot, indicator, by_indicator[indicator])
            for indicator in INDICATORS
            if indicator in by_indicator
        ]
    }


def _funnel(snapshot: Snapshot, indicator: str, rows: list[Row]) -> dict[str, Any]:
    by_clinic = {row["clinic_key"]: row for row in rows}
    units = [
        {**by_clinic[clinic.key], "label": clinic.name, "place": clinic.place}
        for clinic in snapshot.clinics
        if clinic.key in by_clinic
    ]
    label = INDICATORS[indicator]
    return {
        "indicator": indicator,
        "label": label,
        "units": units,
        "first": rows[0],
        "outside": [u["label"] for u in units if u["position"] in ("low", "high")],
        "n_hidden": sum(is_hidden(u, "value", "denominator") for u in units),
        "why": why_empty(units),
        "judged": [u for u in units if u["position"] is not None],
        "chart": Funnel(slug("funnel", indicator), f"Clinics: {label}", units, rows[0]["target"]),
    }  # fmt: skip
