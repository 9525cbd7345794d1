"""What a package says of itself in words: preview, risk page, codebook page, README."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rapport.extracts.columns import columns_of
from rapport.extracts.package import Field, rendered, value_words
from rapport.extracts.request import Request
from rapport.extracts.risk import Classes, Trajectory

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
        f"Persons: {band(report['n_released'])}, index date from "
        f"{request.period.from_} to {request.period.to}",
    ]
    for table, n in report["rows"].items():
        lines.append(f"  {table}: {band(n)} rows")
    if request.profile != "public":
        lines += ["", "Generalised:"]
        for name, level in report["levels"].items():
            lines.append(f"  {name}: {_LEVEL_WORDS[name][level]}")
        if not report["levels"]:
            lines.append("  nothing: a limited data set leaves under its agreement")
        lines += ["", *course_words(request, report["rung"])]
    lines += [
        "",
        f"Cite the release by its release_id, study {request.study}, and "
        f"the data's date {report['data_as_of']}.",
        f"Use ends on {request.expires_on}. The study key is destroyed "
        f"{KEY_DAYS} days later, on {request.expires_on + timedelta(days=KEY_DAYS)}: "
        "after that nobody can link these pseudonyms to later data.",
        "",
        "Nothing has left. A second person, named in [extracts] approvers, decides: "
        f"rapport extract review {request_id}",
    ]
    return "\n".join(lines) + "\n"


def course_words(request: Request, rung: Mapping[str, int | None] | None) -> list[str]:
    """Tell what the course in time holds and what it cuts off."""
    if rung is None:
        return [
            "Only clients and episodes leave, without weeks: among so few persons, three "
            "remembered visits would name too many from sessions, scores or ruptures. A "
            "larger cohort, or fewer columns of alliance, may change that."
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


def risk_page(
    request: Request,
    report: Mapping[str, Any],
    classes: Classes,
    trajectory: Trajectory,
) -> str:
    """Return the disclosure report as a page: no script, nothing fetched."""
    sizes = _histogram(
        classes.sizes, (1, 11, 20, 50, 100, 200, 500, 1_000), "persons in the class"
    )
    risks = _histogram(
        trajectory.risks, (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), "risk of a person"
    )
    return rendered(
        "risk_report.html",
        **_style(),
        request=request,
        report=report,
        levels=[
            (name, _LEVEL_WORDS[name][level])
            for name, level in report["levels"].items()
        ],
        course=course_words(request, report["rung"]),
        size_bars=sizes,
        risk_bars=risks,
    )


def public_risk_page(request: Request, report: Mapping[str, Any]) -> str:
    """Return the disclosure report of aggregate tables as a page."""
    return rendered("public_report.html", **_style(), request=request, report=report)


def _histogram(
    values: Sequence[float], edges: Sequence[float], label: str
) -> dict[str, Any]:
    """Count values between edges, with what an inline SVG needs to draw them."""
    counts = [
        sum(low <= v < high for v in values)
        for low, high in zip(edges, [*edges[1:], float("inf")], strict=True)
    ]
    most = max([*counts, 1])
    bars = [
        {
            "label": f"{edge:g}+" if place == len(edges) - 1 else f"{edge:g}–",
            "n": n,
            "x": 10 + 70 * place,
            "height": round(120 * n / most, 1),
        }
        for place, (edge, n) in enumerate(zip(edges, counts, strict=True))
    ]
    return {"bars": bars, "label": label, "width": 20 + 70 * len(edges)}


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
        course=[]
        if request.profile == "public"
        else course_words(request, report["rung"]),
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
