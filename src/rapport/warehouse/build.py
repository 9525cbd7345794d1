"""Build tonight's candidate: hand bronze and control state to dbt, and run it once.

One writer, one ``dbt build`` process. The working database is a new file each night. The
candidate is a new file, or a copy of the published night in which only the touched
clients are computed anew; either way the marts are a pure function of bronze, settings
and as-of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Self

import duckdb

from rapport import observe
from rapport.errors import BuildFailed, shortage
from rapport.files import private_folder
from rapport.ingest.cells import cell_of
from rapport.mapping import TABLES, Table, read_own_instruments
from rapport.mapping.registry import TABLES as REGISTRY_TABLES
from rapport.mapping.source import zone_of_source
from rapport.privacy import Vault
from rapport.privacy.at_rest import disk_keys
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import (
    attach,
    candidate_path,
    insert_rows,
    kept_path,
    kept_tonight_path,
    open_database,
    open_work,
    parquet_union,
    published_path,
    scratch,
    temp_folder,
    work_path,
)
from rapport.warehouse.dbt_process import RECORD
from rapport.warehouse.history import lay_history
from rapport.warehouse.increment import (
    MOST_TOUCHED,
    Base,
    Plan,
    build_digest,
    count_clients,
    digest_of_folder,
    lay_before,
    lay_touched,
    plan_build,
    prepare_kept,
    seal_kept,
)
from rapport.warehouse.integrity import require_sound_bronze
from rapport.warehouse.waves import lay_wave, lay_waves

OPS_DELIVERY = """
create or replace table ops.delivery (
    delivery_id varchar not null,
    source varchar not null,
    received_at timestamp not null,
    picked_up_at timestamp not null,
    outcome varchar not null,
    n_files integer not null
)"""
OPS_ROW_LEDGER = """
create or replace table ops.row_ledger (
    delivery_id varchar not null,
    source varchar not null,
    file varchar not null,
    table_name varchar not null,
    rows_in bigint not null,
    rows_loaded bigint not null,
    rows_quarantined bigint not null,
    rows_filtered bigint not null,
    rows_footer bigint not null,
    rows_blank bigint not null,
    encoding varchar
)"""
_SIGNAL_LOG = """
    run_id varchar,
    as_of date,
    signal_key varchar,
    signal varchar,
    instrument varchar,
    episode_key varchar,
    client_key varchar,
    therapist_key varchar,
    clinic_key varchar,
    opened_on date,
    first_detected_at timestamp,
    closed_on date,
    closed_reason varchar,
    evidence varchar
"""


@dataclass(frozen=True)
class BuildResult:
    """What a build came to."""

    n_models: int
    n_deliveries: int
    # None: all were computed anew, for the reason given.
    n_touched: int | None
    why_full: str


def build_candidate(
    settings: Settings,
    run_id: str,
    as_of: date,
    known_on: date | None,
    *,
    full_refresh: bool = False,
    dbt: Dbt | None = None,
) -> BuildResult:
    """Build ``warehouse/candidate.duckdb``: the published schemas alone.

    Args:
        settings: the settings.
        run_id: the run that this build is of.
        as_of: facts after this date do not count.
        known_on: only deliveries received by this date count; None counts all.
        full_refresh: compute every client anew.
        dbt: a process that was started ahead; one of its own by default.

    Raises:
        BuildFailed: dbt did not complete; the earlier snapshot still stands.
        DiskFull, MemoryLimitReached: no room left.
    """
    try:
        return _build(settings, run_id, as_of, known_on, full_refresh, dbt)
    except (OSError, duckdb.Error) as error:
        if short := shortage(error, "building"):
            raise short from None
        raise


def _build(
    settings: Settings,
    run_id: str,
    as_of: date,
    known_on: date | None,
    full_refresh: bool,
    dbt: Dbt | None,
) -> BuildResult:
    state = ControlState(settings.home)
    empty(temp_folder(settings))
    for path in (work_path(settings), candidate_path(settings)):
        private_folder(path.parent)
        for left in (path, path.with_name(path.name + ".wal")):
            left.unlink(missing_ok=True)
    order = delivery_order(settings, state, known_on)
    require_sound_bronze(settings, state, [batch for batch, *_ in order])
    plan = plan_build(settings, state, order, as_of, known_on, full_refresh)
    prepare_work(settings, state, order, run_id, as_of, known_on)
    plan, n_touched = _touched(settings, state, order, plan, as_of)
    prepare_candidate(settings, state, plan.base)
    prepare_kept(settings, plan.base)
    if plan.base is None:
        n_models = _build_all(settings, dbt)
    elif plan.base != Base(as_of, frozenset(batch for batch, *_ in order)):
        n_models = _run_dbt(
            settings, dbt, ["build", "--vars", '{"is_increment": true}']
        )
    else:
        # Everything stands as it was published; the gate reads the code lists.
        n_models = _run_dbt(settings, dbt, ["seed"])
    seal_kept(settings, state, order, run_id, as_of, known_on)
    lay_history(settings, state)
    return BuildResult(
        n_models,
        len(order),
        None if plan.base is None else n_touched,
        plan.why_full,
    )


def _build_all(settings: Settings, dbt: Dbt | None) -> int:
    """Build every client, in waves where there are too many; return the models built."""
    with open_work(settings) as con:
        n_waves = lay_waves(con, settings.warehouse.rows_per_wave)
    if n_waves == 1:
        return _run_dbt(settings, dbt, ["build"])
    n_models = 0
    for wave in range(1, n_waves + 1):
        observe.say(f"  clients, wave {wave} of {n_waves}")
        with open_work(settings) as con:
            lay_wave(con, wave)
        if wave == 1:
            n_models += _run_dbt(settings, dbt, ["build", *_FIRST_WAVE])
        else:
            _run_dbt(settings, None, ["build", *_LATER_WAVE])
    observe.say("  what is counted over all clients")
    return n_models + _run_dbt(settings, None, ["build", *_AFTER_THE_WAVES])


# Each wave is an increment; the first one finds no tables to add to.
_FIRST_WAVE = (
    "--exclude", "config.meta.computed:aggregate",
    "--vars", '{"is_increment": true, "lays_tables": true}',
)  # fmt: skip
_LATER_WAVE = (
    "--select", "config.meta.computed:per_client", "--vars", '{"is_increment": true}',
)  # fmt: skip
_AFTER_THE_WAVES = ("--select", "config.meta.computed:aggregate")


def _touched(
    settings: Settings,
    state: ControlState,
    order: list[tuple[str, str, int, datetime]],
    plan: Plan,
    as_of: date,
) -> tuple[Plan, int]:
    """Lay whom an increment computes anew; many touched clients make it a full build."""
    if plan.base is None:
        return plan, 0
    news = {batch for batch, *_ in order} - plan.base.batches
    waits = settings.measurement()
    with open_work(settings) as con:
        con.execute("create schema arrived")
        for table, paths in bronze_paths(settings, state, news).items():
            _bronze_view(con, table, paths, "arrived")
        n_touched = lay_touched(
            con,
            published_path(settings),
            plan.base,
            as_of,
            {
                "silence": int(waits["signals.silent_days"]),
                "gap": int(waits["episodes.gap_days"]) + 1,
                "inactivity": int(waits["dropout.inactive_days"]) + 1,
            },
        )
        con.execute("drop schema arrived cascade")
    if n_touched > MOST_TOUCHED * count_clients(published_path(settings)):
        return Plan(None, "most_clients_touched"), 0
    with open_work(settings) as con:
        lay_before(con, published_path(settings), kept_path(settings), plan.base.as_of)
    return plan, n_touched


def night_inputs(
    settings: Settings, state: ControlState, as_of: date, known_on: date | None
) -> str:
    """Return a SHA-256 over all that the numbers and the checks of a night hang on.

    Equal inputs give equal tables, but for what records when the pipeline learned it.
    """
    order = delivery_order(settings, state, known_on)
    counted = {batch for batch, *_ in order}
    files = [
        (relative, digest)
        for batch, _, relative, _, digest in state.bronze_digests()
        if batch in counted
    ]
    said = [
        as_of.isoformat(),
        build_digest(settings, order),
        digest_of_folder(settings.project_root / "expectations"),
        metadata.version("rapport"),
        repr([(batch, position) for batch, _, position, _ in order]),
        repr(files),
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def delivery_order(
    settings: Settings, state: ControlState, known_on: date | None
) -> list[tuple[str, str, int, datetime]]:
    """Return (batch, source, position, received at) of the deliveries that count.

    The position is the place of the true delivery id, bytewise, within its source: the
    order of arrival says nothing about the order of truth.
    """
    names = Vault(settings.home).delivery_ids()
    counted = [
        d
        for d in state.deliveries()
        if known_on is None or d.received_at.date() <= known_on
    ]
    counted.sort(key=lambda d: (d.source, os.fsencode(names[d.batch_id])))
    return [
        (d.batch_id, d.source, place, d.received_at.replace(tzinfo=None))
        for place, d in enumerate(counted, start=1)
    ]


def prepare_work(
    settings: Settings,
    state: ControlState,
    order: list[tuple[str, str, int, datetime]],
    run_id: str,
    as_of: date,
    known_on: date | None,
) -> None:
    """Lay the schemas ``bronze`` (views over Parquet) and ``control`` for dbt."""
    with open_database(
        work_path(settings), encrypted=settings.security.encrypt_at_rest
    ) as con:
        con.execute("create schema bronze")
        lay_control(con, settings, state, order, run_id, as_of, known_on)
        counted = {batch for batch, _, _, _ in order}
        for table, paths in bronze_paths(settings, state, counted).items():
            _bronze_view(con, table, paths, "bronze")


def bronze_paths(
    settings: Settings, state: ControlState, batches: set[str]
) -> dict[Table, list[Path]]:
    """Return the files of each table that some deliveries brought."""
    files = state.bronze_files()
    return {
        table: [
            settings.home / "bronze" / path
            for batch, path in files.get(table.name, [])
            if batch in batches
        ]
        for table in TABLES
    }


def lay_control(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    state: ControlState,
    order: list[tuple[str, str, int, datetime]],
    run_id: str,
    as_of: date,
    known_on: date | None,
) -> None:
    """Lay the schema ``control``: the run, settings and what the control state knows."""
    con.execute("create schema control")
    con.execute(
        "create table control.run"
        " (run_id varchar, as_of date, as_of_at timestamp, known_on date)"
    )
    con.execute(
        "insert into control.run values (?, ?::date, ?::date::timestamp, ?::date)",
        [run_id, as_of, as_of, known_on],
    )
    _fill(
        con,
        "control.delivery_order",
        "batch_id varchar, source varchar, position integer, received_at timestamp",
        order,
    )
    counted = {batch for batch, _, _, _ in order}
    _fill(
        con,
        "control.delivery_table",
        "batch_id varchar, source varchar, table_name varchar, mode varchar",
        [row for row in state.delivery_tables() if row[0] in counted],
    )
    sources = {source for _, source, _, _ in order} | set(settings.source)
    _fill(
        con,
        "control.source_setting",
        "source varchar, timezone varchar, is_part2 boolean",
        [
            (name, zone_of_source(settings, name), settings.of_source(name).part2)
            for name in sorted(sources)
        ],
    )
    _fill(
        con,
        "control.setting",
        "name varchar, number double, text varchar",
        [
            (name, None, value)
            if isinstance(value, str)
            else (name, None if value is None else float(value), None)
            for name, value in settings.measurement().items()
        ],
    )
    _own_instruments(con, settings)
    _fill(
        con,
        "control.process_change",
        "chart_pattern varchar, clinic varchar, from_date date, note varchar",
        [
            (chart_pattern(change.chart), change.clinic, change.from_, change.note)
            for change in settings.qi.process_change
        ],
    )
    _fill(
        con,
        "control.target",
        "position integer, chart_pattern varchar, clinic varchar, value double",
        [
            (position, chart_pattern(target.chart), target.clinic, target.value)
            for position, target in enumerate(settings.qi.target, start=1)
        ],
    )
    _fill(
        con,
        "control.first_seen",
        "kind varchar, key varchar, first_seen_at timestamp",
        state.first_seen(),
    )
    _fill(con, "control.signal_log", _SIGNAL_LOG, state.signal_log())


def chart_pattern(glob: str) -> str:
    """Return a regular expression that all engines read, for ``*`` and ``?`` in chart ids."""
    parts = {"*": ".*", "?": "."}
    return "".join(parts.get(c) or re.escape(c) for c in glob)


def _own_instruments(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Lay the rows that the clinic adds to the registry; none, when it adds none."""
    own = read_own_instruments(
        settings.home / "instruments", settings.project_root / "dbt_project" / "seeds"
    )
    for name, columns in REGISTRY_TABLES.items():
        typed = ", ".join(f"{column} {type_}" for column, (type_, _) in columns.items())
        rows = [tuple(row[column] for column in columns) for row in own.rows[name]]
        _fill(con, f"control.own_{name}", typed, rows)


# What a night publishes of its own, beside what dbt makes of it.
_OF_A_NIGHT = (
    "run",
    "check_result",
    "signal_erasure",
    "change_log",
    "baseline_correction",
)


def prepare_candidate(
    settings: Settings, state: ControlState, base: Base | None
) -> None:
    """Lay the candidate, empty or as published, with the ledger that the gate checks."""
    if base is not None:
        shutil.copyfile(published_path(settings), candidate_path(settings))
    is_encrypted = settings.security.encrypt_at_rest
    with scratch(settings) as con:
        path = candidate_path(settings)
        attach(con, path, "pub", encrypted=is_encrypted, oldest=True)
        con.execute("use pub")
        for schema in ("core", "alliance", "outcomes", "qi", "ops"):
            con.execute(f"create schema if not exists {schema}")
        for table in _OF_A_NIGHT:
            con.execute(f"drop table if exists ops.{table}")
        con.execute(OPS_DELIVERY)
        insert_rows(
            con,
            "ops.delivery",
            [
                (
                    d.batch_id,
                    d.source,
                    d.received_at.replace(tzinfo=None),
                    d.picked_up_at.replace(tzinfo=None),
                    d.outcome,
                    d.n_files,
                )
                for d in state.deliveries()
            ],
        )
        con.execute(OPS_ROW_LEDGER)
        insert_rows(con, "ops.row_ledger", state.ledger())
        con.execute("use memory")
        con.execute("detach pub")


def bronze_columns(table: Table) -> list[tuple[str, str]]:
    """Return (column, SQL type) of a bronze table, lineage last."""
    columns = [
        (name, type_)
        for column in table.columns
        for name, type_, _ in cell_of(column, "null", "null").outputs
    ]
    return [
        *columns,
        ("source", "VARCHAR"),
        ("batch_id", "VARCHAR"),
        ("file_no", "INTEGER"),
        ("row_no", "BIGINT"),
    ]


def _bronze_view(
    con: duckdb.DuckDBPyConnection, table: Table, paths: list[Path], schema: str
) -> None:
    columns = bronze_columns(table)
    if not paths:
        typed = ", ".join(f"{name} {type_}" for name, type_ in columns)
        con.execute(f"create table {schema}.{table.name} ({typed})")
        return
    names = ", ".join(name for name, _ in columns)
    con.execute(
        f"create view {schema}.{table.name} as select {names} from {parquet_union(con, paths)}"
    )


def _fill(
    con: duckdb.DuckDBPyConnection,
    table: str,
    columns: str,
    rows: Sequence[tuple[object, ...]],
) -> None:
    con.execute(f"create table {table} ({columns})")
    insert_rows(con, table, rows)


class Dbt:
    """dbt's process, which parses the project while deliveries are taken in.

    It opens no database until it is asked; one that is never asked ends with its context.
    """

    def __init__(self, settings: Settings) -> None:
        project = settings.project_root / "dbt_project"
        self._home = settings.home
        self._is_encrypted = settings.security.encrypt_at_rest
        self.target = settings.home / "warehouse" / "target"
        private_folder(self.target)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rapport.warehouse.dbt_process"],
            # By paths from where it stands: a parse holds for the profile it was made
            # with, so that a home that is moved or copied keeps its own.
            env=dbt_environment(settings, self.target),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.target,
        )
        folders = ["--project-dir", "--profiles-dir"]
        shared = [part for folder in folders for part in (folder, str(project))]
        # It makes a folder for its log even where it writes none: never in the project,
        # which may be another account's.
        places = ["--target-path", str(self.target), "--log-path", str(self.target)]
        self._tell([*shared, *_target(settings), *places])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run one command; return its exit code and what it said."""
        # By the pipe: what starts a process may be seen by others.
        keys = disk_keys(self._home) if self._is_encrypted else ()
        key = keys[0].text if keys else ""
        self._tell([key, *arguments])
        assert self._process.stdout is not None
        # Not communicate(): it would close stdin, which ends the process.
        said = self._process.stdout.read()
        return self._process.wait(), said

    def _tell(self, words: list[str]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended; run() tells
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()


def _target(settings: Settings) -> list[str]:
    return ["--target", "encrypted"] if settings.security.encrypt_at_rest else []


def _run_dbt(settings: Settings, dbt: Dbt | None, command: list[str]) -> int:
    """Run dbt once; return the number of models built."""
    # dbt's tests guard the code and run in `make test`; the gate guards tonight's data.
    if command[0] == "build":
        for kind in ("unit_test", "test"):
            command = [*command, "--exclude-resource-type", kind]
    with dbt or Dbt(settings) as asked:
        target = asked.target
        returncode, said = asked.run(*command)
    results = _results(target)
    failed = [r for r in results if r["status"] in ("error", "fail", "runtime error")]
    _keep_parse_cache(target)
    if returncode != 0 or failed:
        told = "\n".join([said, *(r["message"] or "" for r in failed)])
        if short := shortage(RuntimeError(told), "building"):
            raise short
        names = [r["unique_id"].split(".", 2)[-1] for r in failed][:10]
        raise BuildFailed(
            "the build did not complete: "
            + (", ".join(names) if names else f"dbt stopped early ({_kind(told)})"),
            next_step="nothing was published; rapport doctor checks the machine, and "
            "make test shows the models' own tests",
        )
    return sum(r["unique_id"].startswith("model.") for r in results)


def _kind(told: str) -> str:
    """Return the kind of the first error that dbt told of: its text may quote data."""
    kinds = r"^(?:([A-Z][A-Za-z ]{2,40} Error)\b|\[Errno \d+\] ([A-Za-z -]{3,40}))"
    found = re.search(kinds, told, re.MULTILINE)
    return found[1] or found[2] if found else "it said nothing"


def dbt_environment(settings: Settings, cwd: Path | None = None) -> dict[str, str]:
    """Return the environment that the dbt profile reads.

    Args:
        settings: the settings.
        cwd: the folder that paths start from; by default they are whole.
    """
    paths = {
        "WORK": work_path(settings),
        "CANDIDATE": candidate_path(settings),
        "KEPT": kept_tonight_path(settings),
        "TMP": temp_folder(settings),
    }
    return {
        **os.environ,
        **{
            f"DBT_RAPPORT_{name}": os.path.relpath(path, cwd) if cwd else str(path)
            for name, path in paths.items()
        },
        "DBT_RAPPORT_MEMORY": f"{settings.warehouse.engine_bytes}B",
        "DBT_RAPPORT_THREADS": str(settings.warehouse.threads),
        "DO_NOT_TRACK": "1",
    }


def _results(target: Path) -> list[dict[str, str]]:
    path = target / RECORD
    if not path.exists():
        return []
    results: list[dict[str, str]] = json.loads(path.read_text("utf-8"))
    return results


def _keep_parse_cache(target: Path) -> None:
    """Clear compiled SQL and results: only the parse cache holds no data."""
    for entry in target.iterdir():
        if entry.name == "partial_parse.msgpack":
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def empty(folder: Path) -> None:
    """Remove everything below a folder."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
