"""Are measures being filled in? A p′ chart a form; small multiples a clinic."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import TimeChart
from rapport.dashboard.page.parts import grouped, slug, time_chart, why_empty
from rapport.dashboard.snapshot import Clinic, Series, Snapshot
from rapport.dashboard.words import Row, cell, shown

FORMS = ("alliance_client", "alliance_therapist", "outcome_client")
SPAN_SMALL, SPAN_OF_MANY = 24, 12
MANY_CLINICS = 20


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what completion.html shows."""
    rows = grouped(snapshot.rows(queries.COMPLETION), "form", "clinic_key")
    span = SPAN_SMALL if len(snapshot.clinics) <= MANY_CLINICS else SPAN_OF_MANY
    return {
        "forms": [
            _form(snapshot, form, rows, span) for form in FORMS if (form, "all") in rows
        ],
        "span": span,
    }


def _form(
    snapshot: Snapshot, form: str, rows: dict[tuple[str, str], list[Row]], span: int
) -> dict[str, Any]:
    series = snapshot.series[f"completion.{form}", "all"]
    clinics = [
        _clinic(snapshot.series[series.chart_id, clinic.key], clinic, span)
        for clinic in snapshot.clinics
        if (form, clinic.key) in rows
    ]
    return {
        "form": form,
        "series": series,
        "rows": rows[form, "all"],
        "chart": time_chart(series, f"{shown(form, 'word')}: share completed"),
        "why": why_empty(series.points),
        "clinics": clinics,
        "older": _older(clinics, form, rows, span),
    }


def _clinic(series: Series, clinic: Clinic, span: int) -> dict[str, Any]:
    points = series.points[-span:]
    chart = TimeChart(
        slug(series.chart_id, str(clinic.place)),
        f"{clinic.name}: share completed",
        "share",
        points,
        series.segments,
        "small",
        (0.0, 1.0),
    )
    return {
        "clinic": clinic,
        "series": series,
        "chart": chart,
        "why": why_empty(points),
    }


def _older(
    clinics: list[dict[str, Any]],
    form: str,
    rows: dict[tuple[str, str], list[Row]],
    span: int,
) -> list[tuple[str, list[str]]]:
    """Return the months that the small charts leave out, a column a clinic."""
    by_clinic = [rows[form, c["clinic"].key][:-span] for c in clinics]
    return [
        (
            shown(months[0]["month"], "month"),
            [cell(row, "completion", "share", "n_sessions") for row in months],
        )
        for months in zip(*by_clinic, strict=True)
    ]
