"""Does strengthening work go with repair? Dots with intervals a kind of work."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import DotChart
from rapport.dashboard.page.early import dot_of
from rapport.dashboard.page.parts import newest
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import period_name

WORK = {
    "any": "any recorded work",
    "destigmatize": "destigmatising",
    "compassion": "compassion",
    "co_create": "co-creating",
    "none": "none recorded",
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what strengthening.html shows."""
    rows = snapshot.rows(queries.STRENGTHENING)
    if not rows:
        return {"period": None}
    months = snapshot.cohort_months
    start = newest([row for row in rows if row["work"] == "all"], "period_start")
    kinds = {row["work"]: row for row in rows if row["period_start"] == start}
    dots = [
        dot_of(label, kinds[work], "repaired", "repaired_share", "n_settled")
        for work, label in WORK.items()
    ]
    return {
        "period": period_name(start, months),
        "kinds": kinds,
        "rows": [
            {
                **row,
                "period": period_name(row["period_start"], months),
                "kind": WORK.get(row["work"], "all settled"),
            }
            for row in rows
        ],
        "chart": DotChart(
            "strengthening",
            "Share of settled ruptures repaired, by recorded work",
            dots,
            kinds["all"]["repaired_share"],
        ),
    }
