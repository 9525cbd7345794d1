"""What do the words mean? Every term, table, rule and citation."""

from __future__ import annotations

from typing import Any

from rapport.dashboard import queries
from rapport.dashboard.page.parts import grouped
from rapport.dashboard.snapshot import Snapshot


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what glossary.html shows."""
    return {
        "tables": snapshot.rows(queries.TABLES),
        "columns": grouped(snapshot.rows(queries.COLUMNS), "table_name"),
        "methods": snapshot.rows(queries.RUPTURE_METHODS),
        "instruments": snapshot.rows(queries.INSTRUMENTS),
        "shift_points": snapshot.qi.shift_points,
        "trend_points": snapshot.qi.trend_points,
    }
