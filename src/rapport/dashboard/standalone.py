"""One chart as an SVG file that stands alone: the pages' chart with its own style inside."""

from __future__ import annotations

import re

from rapport.dashboard.charts import Chart
from rapport.dashboard.pages import chart_svg, page_environment

_THEME = re.compile(r"^(:root|@media \(prefers-color-scheme)")
_RULE = re.compile(r"^\.([a-z]+)")


def standalone_svg(chart: Chart, sentence: str) -> str:
    """Return the SVG with a namespace, light and dark colours, and no other file."""
    svg = chart_svg(chart, sentence).strip()
    classes = {
        word for said in re.findall(r'class="([^"]*)"', svg) for word in said.split()
    }
    rules = [
        line
        for line in page_environment().get_template("style.css").render().splitlines()
        if _THEME.match(line)
        or ((rule := _RULE.match(line)) is not None and rule[1] in classes)
    ]
    style = "\n".join([*rules, "svg{background:var(--card)}"])
    head, tag, body = svg.partition(">")
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"{tag}<style>{style}</style>{body}\n'
    )
