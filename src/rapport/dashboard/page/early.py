"""Do weak starts predict endings? Dots with intervals a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Dot, DotChart
from rapport.dashboard.page.parts import grouped, newest
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Row, period_name, said

SHARES = {
    "dropout": ("dropout_share", "n_ended"),
    "improved": ("improved_share", "n_outcome"),
    "weak": ("weak_share", "n_banded"),
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what early.html shows."""
    rows = snapshot.rows(queries.EARLY)
    if not rows:
        return {"period": None}
    whole = [row for row in rows if row["band"] == "all"]
    start = newest(whole, "period_start")
    bands = {row["band"]: row for row in rows if row["period_start"] == start}
    months = snapshot.cohort_months
    named = [
        {**row, "period": period_name(row["period_start"], months)} for row in rows
    ]
    return {
        "period": period_name(start, months),
        "bands": bands,
        "rows": named,
        "whole": [row for row in named if row["band"] == "all"],
        "dropout": _of_bands("dropout", bands, "Dropout by early alliance"),
        "improved": _of_bands(
            "improved", bands, "Reliable improvement by early alliance"
        ),
        "weak": _by_period(list(grouped(named, "period_start").values())),
    }


def _of_bands(share: str, bands: Mapping[str, Row], title: str) -> DotChart:
    names = ("weak", "moderate", "strong", "none")
    dots = [dot_of(name, bands[name], share, *SHARES[share]) for name in names]
    return DotChart(f"early-{share}", title, dots, bands["all"][SHARES[share][0]])


def _by_period(periods: Sequence[Sequence[Row]]) -> DotChart:
    dots = [
        dot_of(rows[0]["period"], rows[0], "weak", *SHARES["weak"])
        for rows in periods[-12:]
    ]
    return DotChart("early-weak", "Share of weak starts by period", dots)


def dot_of(label: str, row: Row, interval: str, share: str, of: str) -> Dot:
    """Return one row of a dot chart: a share, its interval, and what it is a share of."""
    text = said(row, share, "share", of)
    if row[share] is None:
        return Dot(label, None, said=text)
    return Dot(
        label,
        row[share],
        row[f"{interval}_low"],
        row[f"{interval}_high"],
        f"{text} of {row[of]:,}",
    )
