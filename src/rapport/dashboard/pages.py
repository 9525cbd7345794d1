"""Write ``dashboard/index.html``: static, self-contained, no script, no network.

The same snapshot and notice give the same bytes: the only time shown is the run's own.
A month or cell with fewer people than the small-cell minimum is hidden in SQL.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rapport.dashboard import queries
from rapport.settings import Settings
from rapport.warehouse import open_published

_PATTERNS = {
    "no_rupture": "No rupture",
    "repaired": "Repaired",
    "pending": "Pending",
    "unrepaired": "Unrepaired",
    "insufficient": "Too few forms",
}


def write_dashboard(settings: Settings, notice: Sequence[str] = ()) -> Path:
    """Write the pages into a sibling folder and swap it in; return the entry page.

    Args:
        settings: the settings.
        notice: what waits for a person, in sentences; from the control state.
    """
    with open_published(settings) as con:
        page = _front_page(con, settings.qi.small_cell_min)
    environment = page_environment()
    style = environment.get_template("style.css").render()
    html = environment.get_template("index.html").render(
        page=page, notices=notice, **style_of(style)
    )
    building = settings.home / "dashboard.building"
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(mode=0o700, parents=True)
    (building / "index.html").write_text(html, encoding="utf-8", newline="\n")
    target = settings.home / "dashboard"
    swap_folder(building, target)
    return target / "index.html"


def page_environment() -> Environment:
    """Return the templates, escaping every value."""
    return Environment(
        loader=PackageLoader("rapport.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style_of(style: str) -> dict[str, Any]:
    """Return the one style block and the policy's hash of it."""
    digest = hashlib.sha256(style.encode()).digest()
    return {
        "style": Markup(style),
        "style_hash": "sha256-" + base64.b64encode(digest).decode("ascii"),
    }


def _front_page(con: duckdb.DuckDBPyConnection, minimum: int) -> dict[str, Any]:
    def rows(sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        return con.execute(sql, list(arguments)).fetchall()

    run = rows(queries.LAST_RUN)[0]
    holds = rows(queries.WHAT_IT_HOLDS)[0]
    ledger = rows(queries.LEDGER)[0]
    checks = rows(queries.CHECKS, run[0])
    patterns = dict(rows(queries.PATTERNS, minimum))
    counts = [(label, patterns.get(key, 0)) for key, label in _PATTERNS.items()]
    months = rows(queries.ALLIANCE_BY_MONTH, minimum)
    bond = rows(queries.BOND_BY_SESSION)
    n_ruptures, n_repaired = rows(queries.REPAIRS, minimum)[0]
    return {
        "run": {"as_of": run[1], "ended_at": run[2]},
        "holds": dict(
            zip(
                ("clients", "episodes", "open", "sessions", "through", "last_delivery"),
                holds,
                strict=True,
            )
        ),
        "patterns": counts,
        "patterns_most": max([n or 0 for _, n in counts] + [1]),
        "repairs": {"ruptures": n_ruptures, "repaired": n_repaired},
        "months": months,
        "months_chart": _lines(
            [(m[0], [m[2], m[3], m[4]]) for m in months], low=1.0, high=5.0
        ),
        "bond": bond,
        "bond_chart": _lines([(b[0], [b[1], b[2]]) for b in bond], low=1.0, high=5.0),
        "ledger": ledger,
        "checks": checks,
        "n_passed": sum(1 for check in checks if check[3]),
        "failed": [check for check in checks if not check[3]],
        "findings": rows(queries.FINDINGS),
        "minimum": minimum,
    }


def _lines(
    points: list[tuple[Any, list[float | None]]], *, low: float, high: float
) -> dict[str, Any]:
    """Lay lines out on a 640 by 220 chart; a missing value breaks its line.

    Returns:
        ``paths``, one SVG path a line; ``ends``, the last point of each; the ticks.
    """
    width, height, left, bottom = 640.0, 220.0, 36.0, 24.0
    step = (width - left - 60) / max(1, len(points) - 1)

    def place(n: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low)
        return left + n * step, 8 + (height - bottom - 8) * (1 - share)

    n_lines = len(points[0][1]) if points else 0
    paths: list[str] = []
    ends: list[tuple[float, float] | None] = []
    for line in range(n_lines):
        path, pen_is_up, end = [], True, None
        for n, (_, values) in enumerate(points):
            value = values[line]
            if value is None:
                pen_is_up = True
                continue
            x, y = place(n, value)
            path.append(f"{'M' if pen_is_up else 'L'}{x:.1f} {y:.1f}")
            pen_is_up, end = False, (round(x, 1), round(y, 1))
        paths.append(" ".join(path))
        ends.append(end)
    _part_labels(ends)
    labels = [
        (round(left + n * step, 1), label)
        for n, (label, _) in enumerate(points)
        if n % max(1, len(points) // 6) == 0
    ]
    levels = [(round(place(0, v)[1], 1), f"{v:.0f}") for v in (1.0, 2.0, 3.0, 4.0, 5.0)]
    return {"paths": paths, "ends": ends, "labels": labels, "levels": levels}


def _part_labels(ends: list[tuple[float, float] | None]) -> None:
    """Move the labels at the lines' ends apart, keeping their order from top down."""
    placed = sorted(
        (end[1], n, end[0]) for n, end in enumerate(ends) if end is not None
    )
    lowest = -100.0
    for y, n, x in placed:
        lowest = max(y, lowest + 14)
        ends[n] = (x, round(lowest, 1))


def swap_folder(building: Path, target: Path) -> None:
    """Put a new folder in the place of an old one, in one step where the system can."""
    if not target.exists():
        os.rename(building, target)
        return
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, swap = -100, 2
    if exchange is not None and (
        exchange(here, os.fsencode(building), here, os.fsencode(target), swap) == 0
    ):
        shutil.rmtree(building)
        return
    old = target.with_name("dashboard.old")
    if old.exists():
        shutil.rmtree(old)
    os.rename(target, old)
    os.rename(building, target)
    shutil.rmtree(old)
