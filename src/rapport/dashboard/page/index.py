"""What changed, what needs a person, can I trust it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.page.completion import FORMS
from rapport.dashboard.page.parts import grouped, slug
from rapport.dashboard.snapshot import Series, Snapshot
from rapport.dashboard.words import Row

# Each family of charts: how its id begins, the page that draws it, its name there.
FAMILIES = (
    ("completion.", "completion.html"),
    ("alliance.", "alliance.html"),
    ("rupture_rate.", "ruptures.html"),
    ("repaired.", "ruptures.html"),
    ("improved.", "outcomes.html"),
    ("deteriorated.", "outcomes.html"),
    ("recovered.", "outcomes.html"),
    ("paired.", "outcomes.html"),
    ("dropout", "endings.html"),
)
_NAMES = {
    "rupture_rate": "ruptures per 100 sessions",
    "repaired": "ruptures repaired",
    "improved": "improved",
    "deteriorated": "deteriorated",
    "recovered": "recovered",
    "paired": "paired outcomes",
    "dropout": "dropout",
}


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what index.html shows."""
    night = {"as_of": snapshot.as_of, "run": snapshot.run_id}
    before = snapshot.rows(queries.NIGHT_BEFORE, **night)
    charts = [
        _chart(s, page_) for prefix, page_ in FAMILIES for s in _of(snapshot, prefix)
    ]
    checks = snapshot.rows(queries.CHECKS, run=snapshot.run_id)
    return {
        "previous": before[0]["as_of"] if before else None,
        "signals": snapshot.rows(queries.SIGNAL_COUNTS, **night)[0],
        "charts": charts,
        "by_page": grouped(charts, "page"),
        "signalling": [c for c in charts if _signals(c["variation"])],
        "n_concern": _count(charts, "concern"),
        "n_improvement": _count(charts, "improvement"),
        "deliveries": snapshot.rows(queries.LAST_DELIVERIES, as_of=snapshot.as_of),
        "n_warnings": sum(
            not check["passed"] and check["severity"] == "warning" for check in checks
        ),
        "failed": [check for check in checks if not check["passed"]],
        "n_checks": len(checks),
        "restated": snapshot.rows(queries.RESTATED),
    }  # fmt: skip


def _of(snapshot: Snapshot, prefix: str) -> list[Series]:
    """Return the charts of a family that show a value; the forms in their own order."""
    found = [s for s in snapshot.of_service(prefix) if s.last["variation"] != "no_data"]
    if prefix == "completion.":
        found.sort(key=lambda s: FORMS.index(s.chart_id.removeprefix(prefix)))
    return found


def _chart(series: Series, file: str) -> dict[str, Any]:
    return {
        "name": chart_name(series),
        "link": f"{file}#{slug(series.chart_id)}",
        "variation": series.last["variation"],
        "verdict": series.verdict,
        "page": file,
    }


def chart_name(series: Series) -> str:
    """Return what a chart is called in a list of charts."""
    kind, *rest = series.chart_id.split(".")
    if kind == "completion":
        return f"{rest[0].replace('_', ' form, ')}"
    instrument = series.last["instrument"]
    if kind == "alliance":
        rater, component = series.chart_id.rsplit(".", 2)[1:]
        return f"{instrument}, {rater}: {component}"
    name = _NAMES[kind]
    return f"{instrument}: {name}" if instrument else name


def _signals(variation: str) -> bool:
    return variation == "run_signal" or variation.split("_")[0] in (
        "concern", "improvement", "neutral",
    )  # fmt: skip


def _count(charts: Sequence[Row], kind: str) -> int:
    return sum(chart["variation"].startswith(kind) for chart in charts)
