"""Write the thirteen pages: static, self-contained, no script, no network.

The same snapshot, version and notice give the same bytes: the only time shown is the
run's own. What is hidden was hidden in SQL.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rapport.dashboard import words
from rapport.dashboard.charts import Chart, laid_out
from rapport.dashboard.page.parts import slug
from rapport.dashboard.snapshot import Notice, Series, Snapshot
from rapport.files import private_folder
from rapport.settings import Settings
from rapport.warehouse import open_published

# In the order of the menu. Each has a template and a module of the same name.
PAGES: Mapping[str, str] = {
    "index.html": "This morning",
    "completion.html": "Completion",
    "alliance.html": "Alliance",
    "early.html": "Early alliance",
    "ruptures.html": "Ruptures",
    "stalls.html": "Stalls",
    "outcomes.html": "Outcomes",
    "endings.html": "Endings",
    "clinics.html": "Clinics",
    "equity.html": "Equity",
    "strengthening.html": "Strengthening",
    "quality.html": "Data quality",
    "glossary.html": "Glossary",
}
_TOGETHER = re.compile(r"[\d.,–]+ %|\d{4}-\d\d-\d\d")
_ICONS = {
    "common_cause": ("common", "", "no sign of change"),
    "improvement_high": ("improvement", "H", "improvement, high"),
    "improvement_low": ("improvement", "L", "improvement, low"),
    "concern_high": ("concern", "H", "concern, high"),
    "concern_low": ("concern", "L", "concern, low"),
    "neutral_high": ("neutral", "H", "special cause, high"),
    "neutral_low": ("neutral", "L", "special cause, low"),
    "run_signal": ("neutral", "R", "run chart signals"),
    "run_common_cause": ("common", "", "run chart, no sign of change"),
    "too_little_data": ("none", "", "too little data"),
    "no_data": ("none", "", "no data"),
}


def write_dashboard(settings: Settings, notice: Notice | None = None) -> Path:
    """Write the pages into a sibling folder and swap it in; return the entry page.

    Args:
        settings: the settings.
        notice: what waits for a person; from the control state.
    """
    building = settings.home / "dashboard.building"
    if building.exists():
        shutil.rmtree(building)
    private_folder(building)
    with open_published(settings) as con:
        snapshot = Snapshot(con, settings, notice or Notice())
        for file, html in _render(snapshot):
            path = building / file
            path.write_text(html, encoding="utf-8", newline="\n")
    target = settings.home / "dashboard"
    swap_folder(building, target)
    return target / "index.html"


def _render(snapshot: Snapshot) -> list[tuple[str, str]]:
    environment = page_environment()
    style = style_of(environment.get_template("style.css").render())
    every_page = {
        "pages": PAGES,
        "notice": snapshot.notice,
        "as_of": snapshot.as_of,
        "started_at": snapshot.started_at,
        "through": snapshot.through,
        "minimum": snapshot.qi.small_cell_min,
        **style,
    }
    return [
        (
            file,
            environment.get_template(file).render(
                here=file, **every_page, **_contents(file)(snapshot)
            ),
        )
        for file in PAGES
    ]


def _contents(file: str) -> Callable[[Snapshot], dict[str, Any]]:
    name = file.removesuffix(".html")
    contents: Callable[[Snapshot], dict[str, Any]] = import_module(
        f"rapport.dashboard.page.{name}"
    ).page
    return contents


@cache
def page_environment() -> Environment:
    """Return the templates, escaping every value."""
    environment = Environment(
        loader=PackageLoader("rapport.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["hidden"] = words.HIDDEN
    environment.filters.update(
        cell=words.cell,
        say=words.said,
        plain=words.shown,
        bare=lambda value, kind: words.shown(value, kind).removesuffix(" %"),
        share_text=lambda value: words.shown(value, "share"),
        month_name=words.month_name,
        period_name=words.period_name,
        isolated=words.isolated,
        unbroken=_unbroken,
        listed=words.listed,
        laid_out=laid_out,
        slug=slug,
        clipped_sides=_clipped_sides,
        icon_words=lambda variation: _ICONS[variation],
    )
    return environment


def chart_svg(chart: Chart, sentence: str) -> str:
    """Return one chart as an SVG of its own; ``sentence`` is its text alternative."""
    template = page_environment().from_string(
        '{% from "charts.html" import draw %}{{ draw(chart, sentence) }}'
    )
    return template.render(chart=chart, sentence=sentence)


def _unbroken(sentence: str) -> Markup:
    """Keep a number with its per cent sign, and a date, on one line."""
    return Markup(
        _TOGETHER.sub(r'<span class="nw">\g<0></span>', str(escape(sentence)))
    )


def _clipped_sides(series: Series) -> str:
    """Name the limit that can't be crossed, since it lies at the bound of a share."""
    limited = [row for row in series.points if row["cl"] is not None]
    if not limited or series.last["kind"] == "xmr" or series.last["limits"] == "none":
        return ""
    newest = limited[-1]
    sides = ["lower"] if newest["lcl"] == 0 else []
    if newest["ucl"] == 1 and series.last["kind"] == "p_prime":
        sides.append("upper")
    return " and the ".join(sides)


def style_of(style: str) -> dict[str, Any]:
    """Return the one style block and the policy's hash of it."""
    digest = hashlib.sha256(style.encode()).digest()
    return {
        "style": Markup(style),
        "style_hash": "sha256-" + base64.b64encode(digest).decode("ascii"),
    }


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
