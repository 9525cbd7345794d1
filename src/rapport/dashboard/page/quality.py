"""Is the data sound, where did it come from? Checks, the ledger, the way of the data."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.charts import Bar, BarChart, Lineage
from rapport.dashboard.page.parts import grouped
from rapport.dashboard.snapshot import Snapshot
from rapport.dashboard.words import Row, listed

PARTS = (
    ("rows_loaded", "", "loaded"),
    ("rows_quarantined", "warn", "quarantined"),
    ("rows_filtered", "b2", "filtered by a rule"),
    ("rows_footer", "b3", "title and total rows"),
    ("rows_blank", "b4", "blank"),
)
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
        "lineage": _lineage(snapshot, total, n_deliveries, deliveries, n_passed, len(checks)),
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
            (css, sum(r[column] for r in rows) / (n_rows or 1)) for column, css, _ in PARTS
        )
        bars.append(Bar(table.replace("_", " "), parts, f"{n_rows:,} rows"))
    legend = tuple((css, label) for _, css, label in PARTS)
    return BarChart("ledger", "Where the rows of each table went", bars, 1.0, legend)


def _lineage(
    snapshot: Snapshot,
    total: Row,
    n_deliveries: int,
    deliveries: list[dict[str, Any]],
    n_passed: int,
    n_checks: int,
) -> Lineage:
    sources = [row["source"] for row in deliveries]
    named = listed(sources) if len(sources) < 3 else f"{len(sources)} sources"
    sizes = {row["schema_name"]: row["n_tables"] for row in snapshot.rows(queries.SCHEMA_SIZES)}
    hidden = snapshot.rows(queries.HIDDEN_ROWS)[0]
    return Lineage(
        "lineage",
        "The way of the data, from the sources to these pages",
        (
            ("Sources", (named or "none yet", f"{n_deliveries:,} deliveries")),
            ("Door", (f"{total['rows_in']:,} rows came in",
                      f"{total['rows_quarantined']:,} to quarantine")),
            ("Bronze", (f"{total['rows_loaded']:,} rows loaded", "keyed, typed, never changed")),
            ("Marts", (", ".join(f"{name} {n}" for name, n in sizes.items() if name != "qi")
                       + " tables", "every clinical rule is here")),
            ("qi tables", (f"{hidden['n_rows']:,} rows",
                           f"{hidden['n_hidden']:,} hidden, small groups")),
            ("Gate", (f"{n_passed} of {n_checks} checks passed", "or the night is refused")),
            ("Pages", ("this snapshot alone", "no key, no name, no therapist")),
        ),
    )  # fmt: skip
