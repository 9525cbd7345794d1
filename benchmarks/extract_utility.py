"""What each profile keeps of a published home, and how far headline results move.

    python benchmarks/extract_utility.py HOME FOLDER FROM TO

HOME is a copy: study keys and frozen months are written into its vault. Both sides stand
on one base: the persons whose index episode begins from FROM to TO, and all their rows in
the snapshot. What is compared is the same query on that base and on the package's files.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from rapport.errors import ExtractRefused
from rapport.extracts import frames
from rapport.extracts.build import build_package
from rapport.extracts.frozen import lay_frozen_months
from rapport.extracts.request import Request, read_request
from rapport.privacy.studies import study_key
from rapport.settings import Settings, load_settings
from rapport.warehouse import in_memory, scratch_over_published

_SPEC = """
study = "utility-{study}"
title = "What an extract keeps of the data"
purpose = "Measure the utility of the profiles."
requester = {{ name = "Nobody Inparticular", organisation = "rapport", email = "a@example.org" }}
profile = "{profile}"
period = {{ from = {first}, to = {last} }}
tables = ["clients", "episodes", "sessions", "alliance", "ruptures", "outcomes"]
expires_on = 2099-12-31
{more}
"""
_DUA = 'dua = "DUA-0"'
_EXPERT = f'{_DUA}\ndetermination = "a figure for the documentation alone"'
# What a study that needs few quasi-identifiers and totals alone would ask for.
_FEW = (
    'quasi_identifiers = ["age_band", "sex"]\ncolumns = { alliance = ["client_total"] }'
)
ASKED = {
    "safe_harbor": ("safe_harbor", ""),
    "safe_harbor, two QIs, one score": ("safe_harbor", _FEW),
    "expert": ("expert", _EXPERT),
    "expert, two QIs, one score": ("expert", f"{_EXPERT}\n{_FEW}"),
    "limited": ("limited", _DUA),
}
TABLES = ("clients", "episodes", "sessions", "alliance", "ruptures", "outcomes")
_WHOLE = {
    "clients": "select client_id from people",
    "episodes": (
        "select qualifying.episode_uid as episode_id, cohorts.pattern from qualifying"
        " left join held.pattern as cohorts"
        " on qualifying.episode_uid = cohorts.episode_uid"
        " and cohorts.method = 'default_rc3'"
    ),
    "sessions": "select 1 from held.session semi join qualifying using (episode_uid)",
    "alliance": (
        "select 1 from held.alliance semi join qualifying using (episode_uid)"
    ),
    "ruptures": (
        "select 1 from held.rupture semi join qualifying"
        " using (episode_uid) where method = 'default_rc3'"
    ),
    "outcomes": (
        "select episode_uid as episode_id, instrument, change, reliable_change"
        " from held.outcome semi join qualifying using (episode_uid)"
    ),
}
_RESULTS = {
    "episodes with a rupture": """
        select avg((pattern <> 'no_rupture')::integer) from episodes
        where pattern in ('repaired', 'unrepaired', 'pending', 'no_rupture')""",
    "ruptured episodes that were repaired": """
        select avg((pattern = 'repaired')::integer) from episodes
        where pattern in ('repaired', 'unrepaired')""",
}
_BY_PATTERN = {
    "mean change, {instrument}, {pattern}": "avg(outcomes.change)",
    "reliably improved, {instrument}, {pattern}": (
        "avg((outcomes.reliable_change = 'improved')::integer)"
    ),
}
PATTERNS = ("no_rupture", "repaired", "unrepaired")


def main() -> None:
    """Build each profile; print two Markdown tables."""
    home, folder, first, last = sys.argv[1:5]
    settings = load_settings({"RAPPORT_HOME": home})
    rows: dict[str, dict[str, int]] = {}
    results: dict[str, dict[str, float | None]] = {}
    course: dict[str, str] = {}
    for place, (label, (profile, more)) in enumerate(ASKED.items()):
        out = Path(folder) / str(place)
        (out / "build").mkdir(parents=True)
        (out / "request.toml").write_text(
            _SPEC.format(
                study=place, profile=profile, first=first, last=last, more=more
            )
        )
        request = read_request(out / "request.toml")
        if not place:
            rows["the cohort, whole"], results["the cohort, whole"] = _whole(
                settings, request
            )
        try:
            built = build_package(
                settings, request, "q_utility", out / "build", {}, date.today()
            )
        except ExtractRefused as refusal:
            course[label] = f"refused: {refusal.reason}"
            continue
        rung = built.report["rung"]
        course[label] = (
            f"({rung['weeks'] or 'none'}, {rung['score_bins'] or 'exact'})"
            if rung
            else "clients and episodes alone"
        )
        rows[label], results[label] = _kept(out / "build" / "data")
    _print_rows(rows, course)
    _print_results(results)


def _whole(
    settings: Settings, request: Request
) -> tuple[dict[str, int], dict[str, float | None]]:
    with scratch_over_published(settings) as con:
        key = study_key(settings.home, request.study, may_create=True)
        frames.lay_subjects(con, settings.home)
        period = request.period
        lay_frozen_months(con, settings.home, period.from_, period.to, period.to)
        frames.lay_pseudonyms(con, request.study, key)
        frames.lay_cohort(con, request)
        for table, sql in _WHOLE.items():
            con.execute(f"create table {table} as {sql}")
        return _measured(con, TABLES)


def _kept(data: Path) -> tuple[dict[str, int], dict[str, float | None]]:
    with in_memory() as con:
        found = [t for t in TABLES if (data / f"{t}.parquet").exists()]
        for table in found:
            con.execute(
                f"create table {table} as from read_parquet(?)",
                [str(data / f"{table}.parquet")],
            )
        return _measured(con, found)


def _measured(
    con: duckdb.DuckDBPyConnection, tables: Any
) -> tuple[dict[str, int], dict[str, float | None]]:
    rows = {t: int(_one(con, f"select count(*) from {t}") or 0) for t in tables}
    results = {name: _one(con, sql) for name, sql in _RESULTS.items()}
    if "outcomes" in tables:
        for instrument in ("PCL-5", "PHQ-9"):
            for name, measure in _BY_PATTERN.items():
                for pattern in PATTERNS:
                    said = name.format(instrument=instrument, pattern=pattern)
                    results[said] = _one(
                        con,
                        f"select {measure} from outcomes inner join episodes"
                        " using (episode_id)"
                        f" where outcomes.instrument = '{instrument}'"
                        f" and episodes.pattern = '{pattern}'",
                    )
    return rows, results


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> float | None:
    row = con.execute(sql).fetchone()
    return None if row is None else row[0]


def _print_rows(rows: dict[str, dict[str, int]], course: dict[str, str]) -> None:
    whole = rows.pop("the cohort, whole")
    print("| asked | " + " | ".join(TABLES) + " | course (weeks, score parts) |")
    print("| --- |" + " --- |" * (len(TABLES) + 1))
    print(
        "| the cohort, rows | " + " | ".join(f"{whole[t]:,}" for t in TABLES) + " | |"
    )
    for label, said in course.items():
        kept = rows.get(label, {})
        shares = [f"{kept[t] / whole[t]:.1%}" if t in kept else "–" for t in TABLES]
        print(f"| {label} | " + " | ".join(shares) + f" | {said} |")


def _print_results(results: dict[str, dict[str, float | None]]) -> None:
    names = list(results["the cohort, whole"])
    print("\n| result | " + " | ".join(results) + " |")
    print("| --- |" + " --- |" * len(results))
    for name in names:
        said = [found.get(name) for found in results.values()]
        cells = ["–" if value is None else f"{value:.3f}" for value in said]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
