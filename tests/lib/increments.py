"""Nights in a row over random clinics, each on the one before, and one build of all.

Small clinics of two dozen sources deliver over five nights, as the oracle's generator draws
them: corrections, tombstones, merges, snapshots that lack rows, forms before their session,
deliveries that sort before ones already built. The as-of date moves past future rows,
merges, closing dates, silences and gaps, once with no delivery at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pytest

from lib import marts
from lib.parsed import lent_parse
from oracle.compare import random_subjects
from rapport import night
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse import build as building
from rapport.warehouse import candidate_path

SCHEMAS = ("core", "alliance", "outcomes", "qi", "ops")
# What tells of the night itself, not of what was built.
OF_THE_NIGHT = {"ops.run", "ops.check_result", "ops.signal_erasure", "ops.change_log"}


AS_OF = (
    date(2026, 5, 17),
    date(2026, 5, 18),
    date(2026, 6, 10),
    date(2026, 6, 30),
    date(2026, 8, 29),
)
LAST_DELIVERY = 4
N_WAVES = 3


@dataclass
class Nights:
    """What the nights came to, and what one build of all makes of the last."""

    results: list[dict[str, object]] = field(default_factory=list)
    incremented: Path = Path()
    rebuilt: Path = Path()
    in_waves: Path = Path()


def incremental_nights(folder: Path, seeds: Sequence[int]) -> Nights:
    """Deliver the clinics of these seeds over the nights; build the last one anew."""
    home = folder / "home"
    home.mkdir()
    subjects = random_subjects(list(seeds))
    settings = marts.settings_of(
        home, {f"source.{s.source}.timezone": s.timezone for s in subjects}
    )
    deliveries = _by_source(subjects)
    for source in deliveries:
        marts.lay_mapping(home, source)
    nights = Nights()
    patch = pytest.MonkeyPatch()
    # In clinics of three clients all are touched sooner or later.
    patch.setattr(building, "MOST_TOUCHED", 2.0)
    with patch.context():
        for n, day in enumerate(AS_OF):
            for place, (source, waiting) in enumerate(sorted(deliveries.items())):
                if n == 0 or (waiting and n < LAST_DELIVERY and (place + n) % 2):
                    # Every third source's later delivery comes first.
                    name = sorted(waiting)[-1 if place % 3 == 0 and n == 0 else 0]
                    tables, snapshots = waiting.pop(name)
                    marts.lay_delivery(home, source, name, tables, snapshots)
            nights.results.append(_night(settings, day))
        nights.incremented = _copied(settings, folder / "incremented.duckdb")
        _night(settings, AS_OF[-1], full_refresh=True)
        nights.rebuilt = _copied(settings, folder / "rebuilt.duckdb")
        n_rows = sum(row[5] for row in ControlState(home).ledger())
        waves = {"rows_per_wave": max(1, n_rows // N_WAVES)}
        warehouse = settings.warehouse.model_copy(update=waves)
        in_waves = settings.model_copy(update={"warehouse": warehouse})
        _night(in_waves, AS_OF[-1], full_refresh=True)
        nights.in_waves = _copied(settings, folder / "in_waves.duckdb")
    return nights


def _by_source(subjects):
    """Return source -> delivery id -> (tables, snapshots) of all its clinics."""
    found = {}
    for subject in subjects:
        of_source = found.setdefault(subject.source, {})
        for delivery in subject.deliveries:
            tables, snapshots = of_source.setdefault(delivery.id, ({}, set()))
            snapshots |= delivery.snapshots
            for table, rows in delivery.tables.items():
                tables.setdefault(table, []).extend(rows)
    return found


def _night(settings: Settings, as_of: date, *, full_refresh: bool = False):
    night.ingest(settings)
    run_id = night.start_run(settings, as_of)
    with lent_parse(settings.home):
        counts = night.build(settings, run_id, full_refresh=full_refresh)
    ControlState(settings.home).set_run(run_id, "validated")
    night.publish(settings, run_id)
    return dict(counts)


def _copied(settings: Settings, to: Path) -> Path:
    shutil.copyfile(candidate_path(settings), to)
    return to


def tables_of(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [
            row[0]
            for row in con.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
                f" where schema_name in {SCHEMAS} order by 1"
            ).fetchall()
            if row[0] not in OF_THE_NIGHT
        ]


def differences(one: Path, other: Path, table: str) -> tuple[int, int, int]:
    """Return rows of the one, rows that only it has, rows that only the other has."""
    with duckdb.connect() as con:
        con.execute(f"attach '{one}' as one (read_only)")
        con.execute(f"attach '{other}' as other (read_only)")
        counts = [
            con.execute(f"select count(*) from ({sql}) as rows").fetchone()[0]
            for sql in (
                f"from one.{table}",
                f"from one.{table} except all from other.{table}",
                f"from other.{table} except all from one.{table}",
            )
        ]
    return tuple(counts)


def all_differences(nights: Nights, other: Path) -> dict[str, tuple[int, int, int]]:
    """Return, for each table, the rows compared and those that one side alone has."""
    tables = tables_of(nights.rebuilt)
    assert tables == tables_of(other)
    return {table: differences(other, nights.rebuilt, table) for table in tables}
