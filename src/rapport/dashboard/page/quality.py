"""Is the data sound, where did it come from? Checks, the ledger, the way of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Bar, BarChart, Lineage
from rapport.dashboard.page.parts import grouped
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Kind, Row, isolated, listed, shown

PARTS = (
    ("rows_loaded", "", "loaded"),
    ("rows_quarantined", "warn", "quarantined"),
    ("rows_filtered", "b2", "filtered by a rule"),
    ("rows_footer", "b3", "title and total rows"),
    ("rows_blank", "b4", "blank"),
)
PAGES_MADE = 13
NIGHTS_DRAWN = 30
COUNTED = ("rows_in", *(column for column, _, _ in PARTS))


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what quality.html shows."""
    minimum = snapshot.qi.small_cell_min
    ledger = snapshot.rows(queries.LEDGER)
    checks = _explained(snapshot)
    total = {column: sum(row[column] for row in ledger) for column in COUNTED}
    n_deliveries = snapshot.rows(queries.N_DELIVERIES)[0]["n"]
    deliveries = snapshot.rows(queries.LAST_DELIVERIES, as_of=snapshot.as_of)
    n_passed = sum(check["passed"] for check in checks)
    stages = _stages(snapshot, total, deliveries, checks)
    return {
        "total": total,
        "n_deliveries": n_deliveries,
        "deliveries": deliveries,
        "ledger": ledger,
        "ledger_chart": _bars(ledger),
        "checks": checks,
        "failed": [check for check in checks if not check["passed"]],
        "by_layer": grouped(checks, "layer"),
        "n_passed": n_passed,
        "findings": snapshot.rows(queries.FINDINGS),
        "forms": snapshot.rows(queries.FORMS_WITHOUT_SESSION, minimum=minimum),
        **_nights(snapshot),
        "stages": [asdict(stage) for stage in stages],
        "lineage": _lineage(stages),
    }  # fmt: skip


def _explained(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return tonight's results, each with why it is checked and what to do."""
    from rapport.validate.suites import load_suites

    known = {check.id: check for check in load_suites(snapshot.project_root)}
    return [
        {
            **row,
            "why": known[row["check_name"]].why if row["check_name"] in known else "",
            "advice": known[row["check_name"]].advice if row["check_name"] in known else "",
        }
        for row in snapshot.rows(queries.CHECKS, run=snapshot.run_id)
    ]  # fmt: skip


def _bars(ledger: list[dict[str, Any]]) -> BarChart:
    by_table = grouped(ledger, "table_name")
    bars = []
    for table, rows in sorted(by_table.items()):
        n_rows = sum(r["rows_in"] for r in rows)
        parts = tuple(
            (css, sum(r[column] for r in rows) / (n_rows or 1))
            for column, css, _ in PARTS
        )
        bars.append(Bar(table.replace("_", " "), parts, f"{n_rows:,} rows"))
    legend = tuple((css, label) for _, css, label in PARTS)
    return BarChart("ledger", "Where the rows of each table went", bars, 1.0, legend)


def _nights(snapshot: Snapshot) -> dict[str, Any]:
    """Return the last nights, newest last: how long each ran, how many rows came in."""
    nights = snapshot.rows(queries.NIGHTS)[::-1]
    drawn = nights[-NIGHTS_DRAWN:]
    minutes = [row["run_minutes"] for row in nights if row["run_minutes"] is not None]
    return {
        "nights": nights,
        "n_published": sum(row["outcome"] == "published" for row in nights),
        "longest_minutes": max(minutes, default=None),
        "run_times": _night_bars("run-times", "Minutes that each night ran", drawn, "run_minutes", "number"),
        "row_counts": _night_bars("row-counts", "Rows that came in for each night", drawn, "rows_in", "count"),
    }  # fmt: skip


def _night_bars(
    id_: str, title: str, nights: Sequence[Row], column: str, kind: Kind
) -> BarChart:
    """Lay a bar a night; one that was not published is marked, and says so."""
    bars = []
    for row in nights:
        is_good = row["outcome"] == "published"
        value = row[column]
        said = [] if value is None else [shown(value, kind)]
        said += [] if is_good else [row["outcome"]]
        parts = () if value is None else (("" if is_good else "warn", float(value)),)
        bars.append(Bar(shown(row["as_of"], "date"), parts, ", ".join(said)))
    return BarChart(id_, title, bars)


@dataclass(frozen=True)
class Stage:
    """One stage of the way: what is counted there, and one thing to know of it."""

    stage: str
    n: int
    what: str
    note: str


def _stages(
    snapshot: Snapshot, total: Row, deliveries: list[dict[str, Any]], checks: list[Any]
) -> list[Stage]:
    sources = [isolated(row["source"]) for row in deliveries]
    named = listed(sources) if len(sources) < 3 else f"{len(sources)} sources"
    sizes = {
        r["schema_name"]: r["n_tables"] for r in snapshot.rows(queries.SCHEMA_SIZES)
    }
    n_marts = sum(n for name, n in sizes.items() if name != "qi")
    hidden = snapshot.rows(queries.HIDDEN_ROWS)[0]
    n_passed = sum(check["passed"] for check in checks)
    n_deliveries = snapshot.rows(queries.N_DELIVERIES)[0]["n"]
    to_quarantine = f"{total['rows_quarantined']:,} to quarantine"
    return [
        Stage("Sources", n_deliveries, "deliveries", named or "none yet"),
        Stage("Door", total["rows_in"], "rows came in", to_quarantine),
        Stage("Bronze", total["rows_loaded"], "rows loaded", "keyed, typed, never changed"),
        Stage("Marts", n_marts, "tables", "every clinical rule is here"),
        Stage("qi tables", hidden["n_rows"], "rows", f"{hidden['n_hidden']:,} rows hidden"),
        Stage("Gate", n_passed, "checks passed", f"of {len(checks):,}"),
        Stage("Pages", PAGES_MADE, "pages", "from this snapshot alone"),
    ]  # fmt: skip


def _lineage(stages: list[Stage]) -> Lineage:
    boxes = [(s.stage, (f"{s.n:,} {s.what}", s.note)) for s in stages]
    title = "The way of the data, from the sources to these pages"
    return Lineage("lineage", title, boxes)
