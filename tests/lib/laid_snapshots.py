"""Snapshots laid from given facts: the real qi models over rows that no night made.

A night on an inbox takes half a minute, and can't be asked for a month that misses the
limit by a hair. Here the tables of facts are filled by SQL, the models of ``qi`` are
rendered and run over them in one process, and the rest of the way is the real one: the
candidate, the control state and the swap.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import yaml

from lib.rendered import PROJECT, model
from rapport.mapping.registry import TABLES as REGISTRY_TABLES
from rapport.settings import Settings, load_settings
from rapport.state import ControlState, Run
from rapport.state.control import CheckResult
from rapport.warehouse.build import OPS_DELIVERY, OPS_ROW_LEDGER, chart_pattern
from rapport.warehouse.connections import candidate_path
from rapport.warehouse.publish import (
    candidate_mark,
    first_seen_in,
    publish_snapshot,
    signal_entries_in,
)

SCHEMAS = ("core", "alliance", "outcomes", "qi", "ops")
# Made from the seeds alone, so the same on every snapshot.
FROM_SEEDS = ("dim_instrument", "dim_rupture_method", "dim_care_signal")

Fill = Callable[[duckdb.DuckDBPyConnection], None]


@dataclass(frozen=True)
class Laid:
    """What a snapshot is laid from.

    Attributes:
        as_of: the night's date; the run began at six in the morning of it, UTC.
        fill: puts rows into the tables of facts, which stand empty.
        settings: text of ``rapport.toml``.
        failed: checks of the night that did not hold, with their severity.
    """

    as_of: date
    fill: Fill = lambda con: None
    settings: str = ""
    failed: dict[str, str] = field(default_factory=dict)


def lay_snapshot(home: Path, laid: Laid) -> Settings:
    """Publish a snapshot of given facts in a RAPPORT_HOME; return its settings."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "rapport.toml").write_text(laid.settings, encoding="utf-8")
    settings = load_settings({"RAPPORT_HOME": str(home)})
    state = ControlState(home)
    began = datetime.fromisoformat(f"{laid.as_of}T06:00:00+00:00")
    run_id = f"r_{laid.as_of:%Y%m%d}_060000_laid"
    state.start_run(
        Run(run_id, laid.as_of, None, began, None, "built", "0" * 64, None, None)
    )
    _write_candidate(settings, laid, run_id)
    state.record_checks(run_id, _checks(laid.failed))
    state.set_run(run_id, "validated", candidate_mark=candidate_mark(settings))
    path = publish_snapshot(settings, run_id)
    state.mark_published(
        run_id,
        began + timedelta(minutes=5),
        first_seen_in(path),
        signal_entries_in(path, run_id),
    )
    return settings


def _checks(failed: dict[str, str]) -> list[CheckResult]:
    names = {
        "marts_session_in_an_episode": "critical",
        "core_scores_in_range": "warning",
    }
    return [
        CheckResult(
            "marts",
            "core.fct_session",
            name,
            severity,
            "fail" if name in failed else "pass",
            name not in failed,
            12.0 if name in failed else None,
            "every session lies in an episode",
        )
        for name, severity in {**names, **failed}.items()
    ]


def _write_candidate(settings: Settings, laid: Laid, run_id: str) -> None:
    con = duckdb.connect(config={"threads": "2"})
    con.execute("set timezone = 'UTC'")
    for schema in (*SCHEMAS, "control", "work"):
        con.execute(f"create schema {schema}")
    for name, columns in contracts().items():
        con.execute(f"create table {name} ({columns})")
    con.execute(OPS_DELIVERY)
    con.execute(OPS_ROW_LEDGER)
    con.execute(f"set search_path = '{','.join((*SCHEMAS, 'work'))}'")
    _lay_control(con, settings, laid.as_of, run_id)
    con.execute(f"create table control.signal_log ({contracts()['ops.signal_log']})")
    _insert(con, "control.signal_log", ControlState(settings.home).signal_log())
    for path in sorted((PROJECT / "seeds").glob("*.csv")):
        con.execute(f"create table work.{path.stem} as from read_csv('{path}')")
    for name in REGISTRY_TABLES:  # no instruments of the clinic's own
        con.execute(f"create table control.own_{name} as from work.{name} limit 0")
    _run_models(con, FROM_SEEDS)
    laid.fill(con)
    quality = [n.split(".")[1] for n in contracts() if n.startswith("qi.")]
    _run_models(con, (*quality, "signal_log"))
    path = candidate_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    con.execute(f"attach '{path}' as pub (storage_version 'v1.0.0')")
    for schema in SCHEMAS:
        con.execute(f"create schema pub.{schema}")
    for name in (*contracts(), "ops.delivery", "ops.row_ledger"):
        con.execute(f"create table pub.{name} as from memory.{name}")
    con.execute("detach pub")
    con.close()


def _lay_control(
    con: duckdb.DuckDBPyConnection, settings: Settings, as_of: date, run_id: str
) -> None:
    con.execute(
        "create table control.run as select ? as run_id, ?::date as as_of,"
        " ?::date::timestamp as as_of_at, null::date as known_on",
        [run_id, as_of, as_of],
    )
    con.execute(
        "create table control.setting (name varchar, number double, text varchar)"
    )
    said = settings.measurement().items()
    numbers = [
        (name, None, v) if isinstance(v, str) else (name, v, None) for name, v in said
    ]
    _insert(con, "control.setting", numbers)
    con.execute(
        "create table control.process_change"
        " (chart_pattern varchar, clinic varchar, from_date date, note varchar)"
    )
    changes = [
        (chart_pattern(change.chart), change.clinic, change.from_, change.note)
        for change in settings.qi.process_change
    ]
    _insert(con, "control.process_change", changes)
    con.execute(
        "create table control.target"
        " (position integer, chart_pattern varchar, clinic varchar, value double)"
    )
    targets = [
        (place, chart_pattern(target.chart), target.clinic, target.value)
        for place, target in enumerate(settings.qi.target)
    ]
    _insert(con, "control.target", targets)


@cache
def contracts() -> dict[str, str]:
    """Return the columns, with their types, of each table that a contract publishes."""
    found = {}
    for schema in SCHEMAS:
        for path in sorted((PROJECT / "models" / "marts" / schema).glob("*.yml")):
            [said] = yaml.safe_load(path.read_text("utf-8"))["models"]
            found[f"{schema}.{said['name']}"] = ", ".join(
                f"{column['name']} {column['data_type']}" for column in said["columns"]
            )
    assert len(found) > 30
    return found


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        con.executemany(f"insert into {table} values ({marks})", rows)


def _run_models(con: duckdb.DuckDBPyConnection, wanted: tuple[str, ...]) -> None:
    """Fill published tables from their models, and the steps between as they are met."""
    published = {name.split(".")[1]: name for name in contracts()}
    for name in _in_order(wanted):
        if name in published:
            con.execute(f"insert into {published[name]} by name {rendered(name)}")
        else:
            con.execute(f"create table work.{name} as {rendered(name)}")


@cache
def _in_order(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the models to run, each after those that it reads; facts are given."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for parent in _parents(name):
            if parent in wanted or parent.startswith("int_"):
                visit(parent)
        order.append(name)

    for name in wanted:
        visit(name)
    return tuple(order)


@cache
def _parents(name: str) -> tuple[str, ...]:
    [path] = (PROJECT / "models").rglob(f"{name}.sql")
    said = re.findall(r"ref\('([a-z0-9_]+)'\)", path.read_text("utf-8"))
    return tuple(dict.fromkeys(said))


@cache
def rendered(name: str) -> str:
    """Return a model's SQL, its settings read from ``control.setting``."""
    return model(name, None)
