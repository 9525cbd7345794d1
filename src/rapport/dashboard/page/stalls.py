"""When recovery stalls, do we go back to the alliance? Paired bars by component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Bar, BarChart
from rapport.dashboard.page.parts import grouped, newest, slug, why_empty
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Row, period_name, said

PARTS = ("goal", "task", "bond")
LEGEND = (("", "alliance reviewed"), ("b3", "not reviewed"))


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what stalls.html shows."""
    by_instrument = grouped(snapshot.rows(queries.STALLS), "instrument")
    return {
        "instruments": [
            _instrument(snapshot, name, rows) for name, rows in by_instrument.items()
        ]
    }


def _instrument(snapshot: Snapshot, name: str, rows: Sequence[Row]) -> dict[str, Any]:
    months = snapshot.cohort_months
    start = newest([r for r in rows if r["component"] == "all"], "period_start")
    of_period = {r["component"]: r for r in rows if r["period_start"] == start}
    weakest = _most_often([of_period[part] for part in PARTS])
    return {
        "name": name,
        "period": period_name(start, months),
        "all": of_period["all"],
        "weakest": weakest,
        "why": why_empty([r for r in rows if r["component"] == "all"], "n_spells"),
        "rows": [{**r, "period": period_name(r["period_start"], months)} for r in rows],
        "chart": BarChart(
            slug("stalls", name),
            f"{name}: share of settled stalls that resumed, by weakest part",
            [bar for part in ("all", *PARTS) for bar in _pair(part, of_period[part])],
            1.0,
            LEGEND,
        ),
    }


def _most_often(rows: Sequence[Row]) -> Row | None:
    """Return the part that was the weakest most often; None while one is hidden.

    With a part hidden, the shown ones do not tell which stands first. Of parts that are
    named equally often, the first of goal, task, bond is named.
    """
    if any(row["n_spells"] is None for row in rows):
        return None
    most = max(rows, key=lambda row: row["n_spells"])
    return most if most["n_spells"] else None


def _pair(part: str, row: Row) -> list[Bar]:
    label = "all stalls" if part == "all" else part
    return [
        _bar(label, "", row, "reviewed_resumed_share", "n_reviewed_settled"),
        _bar("", "b3", row, "unreviewed_resumed_share", "n_unreviewed_settled"),
    ]


def _bar(label: str, css: str, row: Row, share: str, of: str) -> Bar:
    text = said(row, share, "share", of)
    if row[share] is None:
        return Bar(label, (), text)
    return Bar(label, ((css, row[share]),), f"{text} of {row[of]:,}")
