"""What a package says of itself in words: preview, risk page, codebook page, README."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rapport.extracts.columns import columns_of
from rapport.extracts.levels import TOP
from rapport.extracts.package import Field, rendered, value_words
from rapport.extracts.request import Request

KEY_DAYS = 30
_EDGES = (11, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
          100_000, 200_000, 500_000, 1_000_000)  # fmt: skip
_LEVEL_WORDS = {
    "index_year": ("single years", "two-year bands", "four-year bands", "left out"),
    "age_band": ("ten-year bands", "twenty-year bands", "three bands", "left out"),
    "sex": ("as recorded", "left out"),
    "race_group": ("groups", "white, not white, missing", "left out"),
    "state": ("states", "Census regions", "left out"),
    "zip3": ("three-digit postal areas", "left out"),
    "n_sessions_band": ("six bands", "three bands", "left out"),
    "dx_group": ("ICD-10 blocks", "ICD-10 chapter letters", "left out"),
}


def band(n: int) -> str:
    """Return a count as a band, so that a preview tells nothing exact."""
    if n < _EDGES[0]:
        return f"fewer than {_EDGES[0]}"
    low = max(edge for edge in _EDGES if edge <= n)
    above = [edge for edge in _EDGES if edge > n]
    return f"{low:,} to {above[0] - 1:,}" if above else f"{low:,} or more"


def preview(request: Request, request_id: str, report: Mapping[str, Any]) -> str:
    """Return in plain language what the researcher would get, counts as bands."""
    lines = [
        f"Request {request_id} · study {request.study} · profile {request.profile}",
        request.title,
        "",
        "WHAT YOU WOULD GET",
        f"Persons: {band(report['n_released'])}; index date from "
        f"{request.period.from_} to {request.period.to}",
    ]
    for table, n in report["rows"].items():
        lines.append(f"  {table}: {band(n)} rows")
        columns = report.get("columns", {}).get(table)
        if columns:
            lines += _wrapped(", ".join(columns), "    ")
    for table in report.get("tables_withheld", []):
        lines.append(f"  {table}: not released")
    if request.profile != "public":
        lines += ["", "HOW PERSONS ARE TOLD"]
        for name, level in report["levels"].items():
            lines.append(f"  {name}: {_LEVEL_WORDS[name][level]}")
        if not report["levels"]:
            lines.append("  as recorded: a limited data set leaves under its agreement")
        lines += ["", "HOW THE COURSE IS TOLD"]
        for said in course_words(request, report["rung"]):
            lines += _wrapped(said)
        for said in _cut_off_words(request, report):
            lines += _wrapped(said)
    end = request.expires_on + timedelta(days=KEY_DAYS)
    lines += [
        "",
        "HOW TO CITE",
        *_wrapped(citation(request, report)),
        "",
        "WHEN IT ENDS",
        *_wrapped(
            f"Use ends on {request.expires_on}; what you hold is deleted by then, as the "
            f"terms say. The study's key is destroyed after {end}. Until then a new "
            "release of the study bears the same pseudonyms, so that you can join the two; "
            "after that nobody can, and nobody, we included, can say who a pseudonym was."
        ),
        "",
        "WHAT COMES NEXT",
        *_wrapped(
            "Nothing has left. A second person, named in [extracts] approvers, reads the "
            f"measured risk and decides: rapport extract review {request_id}"
        ),
    ]
    return "\n".join(lines) + "\n"


def citation(request: Request, report: Mapping[str, Any]) -> str:
    """Return how to cite a release; its id is known once it is released."""
    return (
        f"{request.title}. De-identified extract, study {request.study}, profile "
        f"{request.profile}, release RELEASE_ID (in release.json), data of "
        f"{report['data_as_of']}."
    )


def _wrapped(said: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        said,
        88,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _cut_off_words(request: Request, report: Mapping[str, Any]) -> list[str]:
    """Tell how much of the cohort's therapies lies past the last week, in steps of 5 %."""
    cut = report.get("cut_off")
    if not cut or request.week_cap is None or report["rung"] is None:
        return []
    return [
        f"Of the cohort's sessions {_about(cut['sessions_later'], cut['sessions'])} lie "
        f"outside, and {_about(cut['persons_longer'], cut['persons'])} of the persons "
        f"have sessions after week {request.week_cap}."
    ]


def _about(n: int, of: int) -> str:
    step = round(20 * n / of) * 5 if of else 0
    return "fewer than 5 %" if step < 5 else f"about {step} %"


def course_words(request: Request, rung: Mapping[str, int | None] | None) -> list[str]:
    """Tell what the course in time holds and what it cuts off."""
    if rung is None:
        return [
            "Only clients and episodes leave, without weeks: among so few persons, three "
            "remembered visits would name too many from sessions, scores or ruptures. A "
            "larger cohort may change that."
        ]
    lines = []
    if request.week_cap is not None:
        lines.append(
            f"Time counts in weeks from the index date; weeks 0 to {request.week_cap} "
            "and the first 26 attended sessions of an episode are released. Longer "
            "therapies are cut off there: their later course and endings are not seen."
        )
    weeks, bins = rung["weeks"], rung["score_bins"]
    if weeks is None:
        lines.append("Weeks are left out; the order of sessions stays.")
    elif weeks > 1:
        lines.append(f"Weeks are told in bins of {weeks}, by their first week.")
    if bins is not None:
        lines.append(
            f"Scores are midpoints of {bins} equal parts of the instrument's range; "
            "differences are of midpoints."
        )
    return lines


def risk_page(request: Request, report: Mapping[str, Any]) -> str:
    """Return the disclosure report as a page: no script, nothing fetched.

    Everything it shows stands in the request or in ``risk_report.json``, its twin.
    """
    levels = [
        {
            "name": name,
            "said": _LEVEL_WORDS[name][level],
            "how": "finest" if not level
            else "left out" if level == TOP[name]
            else "coarser",
        }
        for name, level in report["levels"].items()
    ]  # fmt: skip
    k = report["k_required"]
    sizes = _plot(
        report["distributions"]["class_size"],
        lambda low, high: f"{low:,}–{high - 1:,}" if high else f"{low:,}+",
        is_short=lambda low: low < k,
    )
    risks = _plot(
        report["distributions"]["trajectory_risk"],
        lambda low, high: f"{low:g}–{high:g}" if high else f"{low:g}+",
        is_short=lambda low: low >= report["trajectory_limit"],
    )
    return rendered(
        "risk_report.html",
        **_style(),
        request=request,
        report=report,
        levels=levels,
        course=[
            *course_words(request, report["rung"]),
            *_cut_off_words(request, report),
        ],
        size_plot=sizes,
        risk_plot=risks,
    )


def public_risk_page(request: Request, report: Mapping[str, Any]) -> str:
    """Return the disclosure report of aggregate tables as a page."""
    return rendered("public_report.html", **_style(), request=request, report=report)


def distribution(
    values: Sequence[float], edges: Sequence[float]
) -> list[dict[str, float | None]]:
    """Count values from each edge to below the next; the last has no end."""
    ends = [*edges[1:], None]
    return [
        {
            "from": low,
            "below": high,
            "n": sum(low <= v and (high is None or v < high) for v in values),
        }
        for low, high in zip(edges, ends, strict=True)
    ]


def _plot(
    counts: Sequence[Mapping[str, Any]],
    label: Callable[[Any, Any], str],
    is_short: Callable[[float], bool],
) -> dict[str, Any]:
    """Return what an inline SVG and its table need to show a distribution."""
    most = max([int(row["n"]) for row in counts] + [1])
    total = max(sum(int(row["n"]) for row in counts), 1)
    bars = [
        {
            "label": label(row["from"], row["below"]),
            "n": row["n"],
            "share": f"{100 * row['n'] / total:.1f}",
            "x": 8 + 88 * place,
            "height": round(110 * row["n"] / most, 1),
            "is_short": is_short(row["from"]),
        }
        for place, row in enumerate(counts)
    ]
    return {"bars": bars, "width": 16 + 88 * len(bars)}


def codebook_page(request: Request, fields: Sequence[Field]) -> str:
    """Return the codebook as a page."""
    tables: dict[str, list[tuple[Field, list[str]]]] = {}
    for field in fields:
        tables.setdefault(field.table, []).append((field, value_words(field)))
    return rendered("codebook.html", **_style(), request=request, tables=tables)


def readme(
    request: Request,
    request_id: str,
    report: Mapping[str, Any],
    fields: Sequence[Field],
) -> str:
    """Return the README of a package."""
    left_out = [
        f"{table}.{column.name}"
        for table in request.tables
        if table in {field.table for field in fields}
        for column in columns_of(table, request.profile)
        if column.name not in {f.name for f in fields if f.table == table}
    ]
    return rendered(
        "README.md",
        request=request,
        request_id=request_id,
        report=report,
        citation=citation(request, report),
        course=[]
        if request.profile == "public"
        else [
            *course_words(request, report["rung"]),
            *_cut_off_words(request, report),
        ],
        tables=list(dict.fromkeys(field.table for field in fields)),
        left_out=left_out,
    )


def licence(request: Request) -> tuple[str, str]:
    """Return the name and text of the terms that travel with a package."""
    name = "DUA.txt" if request.profile in ("expert", "limited") else "LICENSE.txt"
    return name, rendered(name, request=request)


@cache
def _style() -> dict[str, str]:
    style = (
        Path(__file__).with_name("templates").joinpath("style.css").read_text("utf-8")
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {"style": style, "style_hash": f"sha256-{digest}"}


def report_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the figures of a disclosure report for a terminal."""
    report = found["report"]
    lines = [
        f"{found['request_id']} · {found['state']} · profile {report['profile']} · "
        f"data of {report['data_as_of']}",
        f"digest to approve: {found['digest']}",
        f"persons: {report['n_requested']} asked for, {report['n_released']} in the "
        f"package, {report['n_masked']} with a mask, {report['n_dropped']} dropped",
    ]
    if report["profile"] == "public":
        cells = report["cells"]
        return [
            *lines,
            f"cells: {cells['shown']} shown, {cells['primary']} hidden as small, "
            f"{cells['complementary']} hidden to protect them; narrowest interval "
            f"{cells['min_width']}",
        ]
    secrets = ", ".join(f"{k} {v}" for k, v in report["l_min"].items()) or "none"
    limit = report["joint_limit"] or "none"
    lines += [
        f"smallest class: {report['k_min']} persons, limit {report['k_required']}; "
        f"{report['classes']} classes",
        f"distinct secrets in the least diverse class: {secrets}; limit 2",
        f"three remembered points: mean {report['trajectory']['mean']:.3f}, limit "
        f"{report['trajectory_limit']}; with the quasi-identifiers "
        f"{report['joint']['mean']:.3f}, limit {limit}",
    ]
    lines += [
        f"{name}: {_LEVEL_WORDS[name][level]}"
        for name, level in report["levels"].items()
    ]
    lines += [f"not released: {table}" for table in report["tables_withheld"]]
    lines += [
        f"beside {d['release_id']}: {d['new']} persons new, {d['gone']} gone"
        for d in report["differencing"]
    ]
    return lines


def list_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the list of requests for a terminal."""
    if not found:
        return ["no request yet; docs/how-to/request-an-extract.md"]
    return [
        f"{row['request_id']}  {row['state']:<10}  {row['study'] or '-'}  "
        f"{row['release_id'] or '-'}  until {row['expires_on'] or '-'}"
        + (f"  ({row['reason']})" if row["reason"] else "")
        for row in found
    ]
