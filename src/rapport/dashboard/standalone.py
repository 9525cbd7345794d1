"""One chart as an SVG file that stands alone: the pages' chart with its own style inside."""

from __future__ import annotations

import re

from rapport.dashboard.charts import Chart
from rapport.dashboard.pages import chart_svg, page_environment

_RULE = re.compile(r"^\.([a-z]+)")
_VARIABLE = re.compile(r"(--[a-z]+):([^;}]+)")


def standalone_svg(chart: Chart, sentence: str) -> str:
    """Return the SVG with a namespace, light and dark colours, and no other file.

    Colours are written out: a program that puts the file into a document may not know
    the variables of CSS.
    """
    svg = chart_svg(chart, sentence).strip()
    lines = page_environment().get_template("style.css").render().splitlines()
    found = {w for said in re.findall(r'class="([^"]*)"', svg) for w in said.split()}
    rules = [r for r in lines if (word := _RULE.match(r)) and word[1] in found]
    rules.append("svg{background:var(--card)}")
    light, dark = (
        _written_out(rules, next(line for line in lines if line.startswith(head)))
        for head in (":root", "@media (prefers-color-scheme:dark)")
    )
    style = f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}"
    head, tag, body = svg.partition(">")
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"{tag}<style>{style}</style>{body}\n'
    )


def _written_out(rules: list[str], theme: str) -> str:
    colours = dict(_VARIABLE.findall(theme))
    return re.sub(r"var\((--[a-z]+)\)", lambda v: colours[v[1]], "\n".join(rules))
