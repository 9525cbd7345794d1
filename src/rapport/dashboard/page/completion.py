"""Are measures being filled in? A p′ chart a form; small multiples a clinic."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import TimeChart
from rapport.dashboard.snapshot import Clinic, Series, Snapshot
from rapport.dashboard.words import HIDDEN, Row, cell, shown

FORMS = ("alliance_client", "alliance_therapist", "outcome_client")
SPAN = 60
SPAN_SMALL = 24


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what completion.html shows."""
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in snapshot.rows(queries.COMPLETION):
        rows.setdefault((row["form"], row["clinic_key"]), []).append(row)
    shown_forms = [f for f in FORMS if (f"completion.{f}", "all") in snapshot.series]
    return {"forms": [_form(snapshot, f, rows) for f in shown_forms], "span": SPAN_SMALL}


def _form(
    snapshot: Snapshot, form: str, rows: dict[tuple[str, str], list[Row]]
) -> dict[str, Any]:
    chart_id = f"completion.{form}"
    series = snapshot.series[chart_id, "all"]
    name = form.replace("_", "-")
    clinics = [
        _clinic(snapshot.series[chart_id, clinic.key], clinic, name)
        for clinic in snapshot.clinics
        if (chart_id, clinic.key) in snapshot.series
    ]
    return {
        "form": form,
        "series": series,
        "rows": rows[form, "all"],
        "chart": time_chart(series, name, f"{form.replace('_', ' ')}: share completed"),
        "clinics": clinics,
        "older": _older(clinics, form, rows),
    }


def time_chart(series: Series, name: str, title: str) -> TimeChart:
    """Return the chart of a share, for the whole service."""
    return TimeChart(name, title, "share", series.points[-SPAN:], series.segments)


def _clinic(series: Series, clinic: Clinic, name: str) -> dict[str, Any]:
    points = series.points[-SPAN_SMALL:]
    why = None
    if all(row["value"] is None for row in points):
        is_small = any(row["is_hidden"] for row in points)
        why = f"Nothing to draw: each month is {HIDDEN}." if is_small else (
            "Nothing to draw: no session in these months."
        )
    chart = TimeChart(
        f"{name}-{clinic.place}", f"{clinic.name}: share completed", "share", points,
        series.segments, "small", (0.0, 1.0),
    )
    return {"clinic": clinic, "series": series, "chart": None if why else chart, "why": why}


def _older(
    clinics: list[dict[str, Any]], form: str, rows: dict[tuple[str, str], list[Row]]
) -> list[tuple[str, list[str]]]:
    """Return the months that the small charts leave out, a column a clinic."""
    by_clinic = [rows[form, c["clinic"].key][:-SPAN_SMALL] for c in clinics]
    return [
        (
            shown(months[0]["month"], "month"),
            [cell(row, "completion", "share", "n_sessions") for row in months],
        )
        for months in zip(*by_clinic, strict=True)
    ]
