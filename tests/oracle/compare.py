"""Hold the marts against the oracle, on random clinics and on deliveries from disk.

``python -m oracle.compare --clinic SEED`` (with ``tests`` on the path) runs one clinic
alone; ``--clinics N`` many. All data are synthetic, so values may be shown.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from lib import marts
from oracle.clinic import Clinic, measure_clinic, tables_of, trajectory_of
from oracle.random_clinic import RandomClinic
from oracle.registry import dim_instrument
from oracle.settings import Settings
from oracle.versions import Delivery

TOLERANCE = 1e-6

GRAIN = {
    "core.dim_client": ("client_key",),
    "core.dim_therapist": ("therapist_key",),
    "core.dim_clinic": ("clinic_key",),
    "core.fct_session": ("session_key",),
    "core.fct_episode": ("episode_key",),
    "core.fct_diagnosis": ("client_key", "episode_key", "code"),
    "core.dim_instrument": ("instrument", "rater", "subscale"),
    "core.fct_measure_score": ("administration_key", "subscale"),
    "alliance.fct_alliance_session": ("session_key", "instrument"),
    "alliance.fct_rupture": ("rupture_key",),
    "alliance.rupture_cohort": ("episode_key", "method"),
    "alliance.trajectory_by_session": (
        "trauma_focused",
        "instrument",
        "component",
        "session_number",
    ),
    "alliance.fct_therapist_marker": ("session_key",),
    "alliance.fct_congruence": ("episode_key", "instrument", "component"),
    "alliance.fct_goal_overlap": ("episode_key",),
    "alliance.fct_strengthening": ("session_key",),
    "outcomes.fct_episode_outcome": ("episode_key", "instrument"),
    "outcomes.fct_stall": ("episode_key", "instrument", "stall_date"),
    "outcomes.fct_care_signal": (
        "signal",
        "episode_key",
        "instrument",
        "opened_on",
        "therapist_key",
    ),
}


@dataclass(frozen=True)
class Profile:
    """One set of settings, and the night's as-of date."""

    name: str
    as_of: date
    said: dict[str, Any] = field(default_factory=dict)


PROFILES = (
    Profile("defaults", date(2026, 6, 30)),
    Profile(
        "own_thresholds",
        date(2026, 5, 17),
        {
            "episodes.gap_days": 60,
            "link.window_days": 2,
            "alliance.band_weak_below": 2.5,
            "alliance.band_strong_from": 3.5,
            "rupture.baseline_scores": 4,
            "rupture.baseline_min": 1,
            "rupture.repair_window": 2,
            "rupture.likely_ratio": 1.25,
            "instruments.WAI-SR.rc": 0.5,
            "instruments.WAI-SR.rc_subscale": 0.75,
            "instruments.WAI-S.rc": 1.0,
            "instruments.SRS.rc": 4.0,
            "instruments.PCL-5.rc": 10,
            "instruments.PCL-5.cut": 31,
            "markers.item_high": 2,
            "markers.sum_high": 7,
            "markers.persistent_last": 4,
            "congruence.min_pairs": 2,
            "congruence.min_pairs_r": 3,
            "congruence.goal_gap": 0.5,
            "outcomes.recovery_rule": "nhs",
            "early.sessions": (2, 4, 1),
            "stall.instruments": ("PCL-5", "PHQ-9", "ORS", "ITQ"),
            "stall.min_session": 3,
            "stall.window_scores": 3,
            "stall.alliance_lookback": 1,
            "stall.review_sessions": 1,
            "dropout.rule": "unilateral_no_gain",
            "goals.inconsistent_below": 0.34,
            "qi.small_cell_min": 3,
        },
    ),
    Profile(
        "no_show_last",
        date(2026, 6, 14),
        {
            "dropout.rule": "no_show_last",
            "rupture.repair_fraction": 0.25,
        },
    ),
    Profile(
        "inactivity",
        date(2026, 6, 30),
        {
            "dropout.rule": "inactivity",
            "dropout.inactive_days": 30,
            "alliance.primary_instrument": "SRS",
            "rupture.methods": ("default_rc3", "gumz_decline", "srs_concern"),
            "qi.small_cell_min": 0,
            "signals.missed_in_row": 1,
            "signals.silent_days": 14,
            "signals.booked_days": 7,
        },
    ),
)


@dataclass(frozen=True)
class Difference:
    """One cell, or one whole row, on which the two sides differ."""

    profile: str
    clinic: str
    table: str
    key: tuple[Any, ...]
    column: str
    sql: Any
    oracle: Any

    def __str__(self) -> str:
        return (
            f"{self.profile} clinic {self.clinic} {self.table} {self.key}"
            f" {self.column}: SQL {self.sql!r}, oracle {self.oracle!r}"
        )


@dataclass
class Comparison:
    """What one profile came to: what the oracle expects, and the differences."""

    profile: str
    expected: dict[str, dict[tuple[Any, ...], dict[str, Any]]]
    differences: list[Difference]
    missing_tables: list[str]

    @property
    def n_rows(self) -> dict[str, int]:
        """Rows that were compared, by table."""
        return {
            table: len(rows)
            for table, rows in self.expected.items()
            if table not in self.missing_tables
        }


@dataclass(frozen=True)
class Subject:
    """One clinic to measure: a name to report, its source and deliveries."""

    name: str
    source: str
    timezone: str
    deliveries: list[Delivery]


def random_subjects(seeds: list[int]) -> list[Subject]:
    subjects = []
    for seed in seeds:
        clinic = RandomClinic(seed)
        source = clinic.source
        subjects.append(
            Subject(str(seed), source.name, source.timezone, clinic.deliveries())
        )
    return subjects


def subject_of_folder(source: str, folder: Path) -> Subject:
    """Read a source's deliveries (canonical CSV) from its inbox folder."""
    deliveries = []
    for path in sorted(folder.iterdir()):
        tables = {}
        for file in sorted(path.glob("*.csv")):
            with file.open(encoding="utf-8", newline="") as text:
                tables[file.stem] = list(csv.DictReader(text))
        manifest = path / "manifest.json"
        said = json.loads(manifest.read_text()) if manifest.exists() else {}
        snapshots = frozenset(
            table
            for table, about in said.get("tables", {}).items()
            if about.get("mode") == "snapshot"
        )
        deliveries.append(Delivery(path.name, tables, snapshots))
    return Subject(source, source, "UTC", deliveries)


def compare(
    subjects: list[Subject], profiles: tuple[Profile, ...], home: Path
) -> list[Comparison]:
    """Deliver all subjects into one home, build once a profile, and compare."""
    _lay(subjects, home)
    sources = {s.source: s.timezone for s in subjects}
    zones = {f"source.{name}.timezone": zone for name, zone in sources.items()}
    settings = marts.settings_of(home, zones)
    marts.take_in(settings)
    results = []
    for profile in profiles:
        said = {**profile.said, **zones}
        built = marts.build_marts(marts.settings_of(home, said), profile.as_of)
        clinics = [
            measure_clinic(
                subject.source,
                subject.deliveries,
                Settings.of(said),
                profile.as_of,
                marts.key_of(settings, subject.source),
            )
            for subject in subjects
        ]
        results.append(_held_against(profile.name, subjects, clinics, built))
    return results


def _lay(subjects: list[Subject], home: Path) -> None:
    """Clinics of one source share its deliveries: one file a table."""
    for source in {subject.source for subject in subjects}:
        marts.lay_mapping(home, source)
        together: dict[str, dict[str, list[dict[str, str]]]] = {}
        snapshots: dict[str, frozenset[str]] = {}
        for subject in subjects:
            if subject.source != source:
                continue
            for delivery in subject.deliveries:
                tables = together.setdefault(delivery.id, defaultdict(list))
                snapshots[delivery.id] = delivery.snapshots
                for table, rows in delivery.tables.items():
                    tables[table] += rows
        for id_, tables in together.items():
            marts.lay_delivery(home, source, id_, tables, snapshots[id_])


def _held_against(
    profile: str, subjects: list[Subject], clinics: list[Clinic], built: marts.Tables
) -> Comparison:
    expected: dict[str, dict[tuple[Any, ...], tuple[str, dict[str, Any]]]] = {}
    for subject, clinic in zip(subjects, clinics, strict=True):
        for table, rows in tables_of(clinic).items():
            of_table = expected.setdefault(table, {})
            for key, row in rows.items():
                of_table[key] = (subject.name, row)
    expected["alliance.trajectory_by_session"] = {
        key: ("all", row) for key, row in trajectory_of(clinics).items()
    }
    expected["core.dim_instrument"] = {
        key: ("all", row) for key, row in dim_instrument(clinics[0].settings).items()
    }
    names = _names_of_made_keys(built)
    differences: list[Difference] = []
    for table in expected:
        if table in built:
            found = _keyed(table, built[table], names)
            differences += differences_of(profile, table, found, expected[table])
    return Comparison(
        profile,
        {
            table: {key: row for key, (_, row) in rows.items()}
            for table, rows in expected.items()
        },
        differences,
        [table for table in expected if table not in built],
    )


def _names_of_made_keys(built: marts.Tables) -> dict[str, str]:
    """Map keys that are made below the door to the oracle's names for them."""
    names = {}
    for row in built["core.fct_episode"]:
        if row["episode_origin"] == "derived":
            name = f"derived|{row['client_key']}|{row['opened_on']}"
            names[row["episode_key"]] = name
    for row in built["alliance.fct_rupture"]:
        episode = names.get(row["episode_key"], row["episode_key"])
        names[row["rupture_key"]] = "|".join(
            [
                "rupture",
                row["method"],
                row["instrument"],
                str(episode),
                str(row["onset_session_number"]),
            ]
        )
    return names


def _keyed(
    table: str, rows: list[dict[str, Any]], names: dict[str, str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    rows = [row for row in rows if _is_held(table, row)]
    for row in rows:
        named = {
            column: names.get(value, value) if isinstance(value, str) else value
            for column, value in row.items()
        }
        if table == "core.dim_instrument":  # the page gives the items no order
            named["item_list"] = set(named["item_list"].split(";"))
        found[tuple(named[column] for column in GRAIN[table])] = named
    assert len(found) == len(rows), f"{table}: rows share a key"
    return found


def _is_held(table: str, row: dict[str, Any]) -> bool:
    """Of diagnoses the page's companion rules only which is primary; forms are no scales."""
    if table == "core.fct_diagnosis":
        return bool(row["is_primary"])
    return table != "core.dim_instrument" or row["domain"] != "form"


def differences_of(
    profile: str, table: str, found: dict[tuple[Any, ...], dict[str, Any]],
    expected: dict[tuple[Any, ...], tuple[str, dict[str, Any]]],
) -> list[Difference]:  # fmt: skip
    differences = []
    for key in found.keys() - expected.keys():
        differences.append(
            Difference(profile, "?", table, key, "(row)", found[key], None)
        )
    for key, (clinic, row) in expected.items():
        if key not in found:
            differences.append(
                Difference(profile, clinic, table, key, "(row)", None, row)
            )
            continue
        for column, value in row.items():
            if not _same(found[key][column], value):
                differences.append(
                    Difference(
                        profile, clinic, table, key, column, found[key][column], value
                    )
                )
    return differences


def _same(sql: Any, oracle: Any) -> bool:
    if isinstance(sql, bool) or isinstance(oracle, bool):
        return sql is oracle
    if isinstance(sql, int | float) and isinstance(oracle, int | float):
        return abs(sql - oracle) <= TOLERANCE
    return sql == oracle


def report(results: list[Comparison], n_first: int = 5) -> str:
    """Say what was compared, and the first differences of each table and column."""
    lines = []
    for result in results:
        total = sum(result.n_rows.values())
        lines.append(
            f"{result.profile}: {total} rows of {len(result.n_rows)} tables,"
            f" {len(result.differences)} differences"
        )
        if result.missing_tables:
            lines.append(f"  not built: {', '.join(result.missing_tables)}")
        kinds: dict[tuple[str, str], list[Difference]] = defaultdict(list)
        for difference in result.differences:
            kinds[difference.table, difference.column].append(difference)
        for (table, column), several in kinds.items():
            lines.append(f"  {table}.{column}: {len(several)}")
            several.sort(key=lambda d: (len(d.clinic), d.clinic))
            lines += [f"    {one}" for one in several[:n_first]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clinic", type=int, help="one random clinic by its seed")
    parser.add_argument("--clinics", type=int, default=300, help="random clinics")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--profile", help="only this set of settings")
    parser.add_argument("--show", type=int, default=5, help="differences a column")
    parser.add_argument("--home", type=Path, help="a new folder to keep the data in")
    said = parser.parse_args()
    seeds = list(range(said.first, said.first + said.clinics))
    if said.clinic is not None:
        seeds = [said.clinic]
    profiles = tuple(p for p in PROFILES if said.profile in (None, p.name))
    with tempfile.TemporaryDirectory() as folder:
        home = said.home or Path(folder) / "home"
        home.mkdir(parents=True)
        results = compare(random_subjects(seeds), profiles, home)
    print(report(results, said.show))
    return int(any(result.differences for result in results))


if __name__ == "__main__":
    sys.exit(main())
