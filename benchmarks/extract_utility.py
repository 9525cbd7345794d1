"""What each profile keeps of a published home, and how far headline results move.

    python benchmarks/extract_utility.py HOME FOLDER FROM TO

HOME is a copy: study keys and frozen months are written into its vault. Results are
rupture rate (episodes with a rupture), repair rate (repaired of those), and mean change on
the PCL-5 by pattern, on the whole cohort and on the package.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import duckdb

from rapport.errors import ExtractRefused
from rapport.extracts.build import build_package
from rapport.extracts.request import read_request
from rapport.settings import load_settings

_SPEC = """
study = "{study}"
title = "What an extract keeps of the data"
purpose = "Measure the utility of the profiles."
requester = {{ name = "Nobody Inparticular", organisation = "rapport", email = "a@example.org" }}
profile = "{profile}"
period = {{ from = {first}, to = {last} }}
tables = ["clients", "episodes", "sessions", "alliance", "ruptures", "outcomes"]
expires_on = 2099-12-31
{more}
"""
_RESULTS = """
select
    avg(case when pattern in ('repaired', 'unrepaired', 'pending') then 1.0
        when pattern = 'no_rupture' then 0.0 end),
    avg(case when pattern = 'repaired' then 1.0 when pattern = 'unrepaired' then 0.0 end)
from {episodes}
"""
_MORE = {
    "safe_harbor": "",
    "expert": 'dua = "DUA-0"\ndetermination = "a figure for the documentation alone"',
    "limited": 'dua = "DUA-0"',
}


def main() -> None:
    """Build each profile and print one Markdown row for it."""
    home, folder, first, last = sys.argv[1:5]
    settings = load_settings({"RAPPORT_HOME": home})
    print("| profile | persons | sessions | rung | rupture rate | repair rate |")
    print("| --- | --- | --- | --- | --- | --- |")
    for profile, more in _MORE.items():
        out = Path(folder) / profile
        (out / "build").mkdir(parents=True)
        path = out / "request.toml"
        path.write_text(
            _SPEC.format(
                study=profile.replace("_", "-"),
                profile=profile,
                first=first,
                last=last,
                more=more,
            )
        )
        try:
            built = build_package(
                settings,
                read_request(path),
                "q_utility",
                out / "build",
                {},
                date.today(),
            )
        except ExtractRefused as refusal:
            print(f"| {profile} | refused: {refusal.reason} | | | | |")
            continue
        report = built.report
        with duckdb.connect() as con:
            con.execute(f"attach '{home}/published/rapport.duckdb' as pub (read_only)")
            n_sessions = _one(con, "select count(*) from pub.core.fct_session")[0]
            whole = _one(con, _RESULTS.format(
                episodes="(select * from pub.alliance.rupture_cohort"
                " where method = 'default_rc3')"))  # fmt: skip
            kept = _one(con, _RESULTS.format(
                episodes=f"'{out}/build/data/episodes.parquet'"))  # fmt: skip
        share = report["n_released"] / report["n_requested"]
        rows = report["rows"].get("sessions", 0)
        print(
            f"| {profile} | {share:.1%} | {rows / n_sessions:.1%} | "
            f"{report['rung'] or 'clients and episodes alone'} | "
            f"{whole[0]:.3f} → {kept[0]:.3f} | {whole[1]:.3f} → {kept[1]:.3f} |"
        )


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[float, ...]:
    row = con.execute(sql).fetchone()
    assert row is not None
    return row


if __name__ == "__main__":
    main()
