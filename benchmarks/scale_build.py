"""What a build costs at scale: whole, the same SQL bare, and a night of one client in 100.

``python benchmarks/scale_build.py HOME --as-of DATE`` on a RAPPORT_HOME whose inbox holds
a generated clinic (``rapport demo generate --clients 62000`` is a million sessions). It
takes the deliveries in, builds all with dbt and publishes; lets one client in a hundred
have a new session and builds that night (in a larger service also one in which as many
have as would in one of a million sessions), and one to which nothing came; then runs the
very statements of the full build, in the same order, in one bare connection with its
settings. CPU seconds are those of all processes that did the work, and so is the memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil
from measured import RESULTS, save

from rapport import night
from rapport.settings import Settings, load_settings
from rapport.state import ControlState
from rapport.warehouse import build as building
from rapport.warehouse.connections import (
    candidate_path,
    in_memory,
    kept_tonight_path,
    published_path,
    temp_folder,
    work_path,
)
from rapport.warehouse.dbt_process import RECORD

# One client in a hundred of a service of a million sessions: the same night, whatever the
# history behind it.
SAME_NIGHT = 620


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument(
        "--without-bare", action="store_true", help="the build alone, not the same bare"
    )
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(asked.home)})
    if asked.bare:
        run_bare(settings, json.loads(asked.bare.read_text("utf-8")))
        return
    keep(measure(settings, asked.as_of, with_bare=not asked.without_bare))


def measure(settings: Settings, as_of: date, *, with_bare: bool) -> dict[str, Any]:
    """Return CPU seconds, wall seconds and peak megabytes of each job."""
    found: dict[str, Any] = {}
    if not ControlState(settings.home).deliveries():
        night.ingest(settings)
    with Watch(temp_folder(settings)) as watch:
        full = one_build(settings, as_of, full_refresh=True)
    if with_bare and full["ran"]["n_runs"] > 1:
        raise SystemExit(
            "it went in waves, whose SQL is no whole build: --without-bare"
        )
    found["full build"] = full["cost"] | {
        "peak_mb": watch.peak_mb, "spill_mb": watch.spill_mb,
    }  # fmt: skip
    publish(settings, full["run_id"])
    with duckdb.connect(str(published_path(settings)), read_only=True) as con:
        found["sessions"], found["clients"] = con.execute(
            "select (select count(*) from core.fct_session),"
            " (select count(*) from core.dim_client)"
        ).fetchone()
    with in_memory() as con:
        (found["items"],) = con.execute(
            "select count(*) from read_parquet(?)",
            [f"{settings.home}/bronze/*/measure_items/*.parquet"],
        ).fetchone()
    nights = {"1 % night": found["clients"] // 100}
    if found["clients"] > 100 * SAME_NIGHT:
        nights[f"night of {SAME_NIGHT} clients"] = SAME_NIGHT
    for name, n_clients in nights.items():
        deliver_news(settings, as_of, n_clients)
        night.ingest(settings)
        small = one_build(settings, as_of)
        found[name] = small["cost"] | small["counts"] | {"models": dearest(small)}
        publish(settings, small["run_id"])
    empty = one_build(settings, as_of)
    found["empty night"] = empty["cost"] | empty["counts"]
    cost = {name: found[name]["cpu_s"] for name in ("full build", "1 % night")}
    if with_bare:
        found["bare SQL"] = bare(settings, as_of, full)
        bare_s = found["bare SQL"]["cpu_s"]
        found["build over bare"] = round(cost["full build"] / bare_s, 2)
    found["1 % night over full"] = round(cost["1 % night"] / cost["full build"], 3)
    found["memory_limit"] = settings.warehouse.memory_limit
    return found


def keep(found: dict[str, Any]) -> None:
    """Keep the figures of this size beside those of other sizes: of sessions, and items."""
    file = RESULTS / "scale_build.json"
    before = json.loads(file.read_text("utf-8"))["sizes"] if file.exists() else {}
    sizes = before | {f"{found['sessions']} {found['items']}": found}
    in_order = sorted(sizes, key=lambda size: [int(n) for n in size.split()])
    save("scale_build", {"sizes": {size: sizes[size] for size in in_order}})


class Watch(threading.Thread):
    """Looks each second what this process and its children hold in memory, and spill.

    A page that several of them share counts for each; the largest of all looks is kept.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder, self._is_over = folder, threading.Event()
        self.spill_mb = 0
        self.peak_mb = 0

    def run(self) -> None:
        """Look until told that it is over."""
        me = psutil.Process()
        while not self._is_over.wait(1):
            with suppress(FileNotFoundError):  # one that went meanwhile
                held = sum(path.stat().st_size for path in self._folder.rglob("*"))
                self.spill_mb = max(self.spill_mb, round(held / 1e6))
            with suppress(psutil.NoSuchProcess):
                tree = [me, *me.children(recursive=True)]
                held = sum(process.memory_info().rss for process in tree)
                self.peak_mb = max(self.peak_mb, round(held / 1e6))

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self.join()


def one_build(
    settings: Settings, as_of: date, *, full_refresh: bool = False
) -> dict[str, Any]:
    """Build in this process (dbt in its own) and keep what dbt ran."""
    ran: dict[str, Any] = {}
    keep = building._keep_parse_cache

    def note(target: Path) -> None:
        ran["n_runs"] = ran.get("n_runs", 0) + 1
        ran.update(_statements(target))
        keep(target)

    building._keep_parse_cache = note
    try:
        run_id = night.start_run(settings, as_of)
        before, started = _used(), time.monotonic()
        counts = night.build(settings, run_id, full_refresh=full_refresh)
        cost = _cost(before, started)
    finally:
        building._keep_parse_cache = keep
    return {"run_id": run_id, "counts": dict(counts), "cost": cost, "ran": ran}


def _statements(target: Path) -> dict[str, Any]:
    """Return the models in the order in which they were built, with their SQL."""
    if not (target / RECORD).exists():
        return {}
    compiled = {path.stem: path for path in (target / "compiled").rglob("*.sql")}
    models = []
    for said in json.loads((target / RECORD).read_text("utf-8")):
        kind, _, name = said["unique_id"].split(".")
        if kind == "model":
            what = "view" if said["materialized"] == "view" else "table"
            sql = (
                f"create or replace {what} {said['relation']} as"
                f" ({compiled[name].read_text('utf-8')})"
            )
            models.append((name, sql, said["wall_s"]))
    return {"models": models}


def dearest(build: dict[str, Any]) -> dict[str, float]:
    """Return the twelve models that took longest by the clock, in seconds."""
    took = {name: seconds for name, _, seconds in build["ran"]["models"]}
    return dict(sorted(took.items(), key=lambda one: -one[1])[:12])


def bare(settings: Settings, as_of: date, full: dict[str, Any]) -> dict[str, Any]:
    """Run the statements of a full build in one bare connection, in a process alone.

    Returns:
        its cost, and CPU seconds of each model that took a hundredth of all or more.
    """
    state = ControlState(settings.home)
    seeds = settings.home / "warehouse" / "seeds.duckdb"
    seeds.unlink(missing_ok=True)
    work_path(settings).rename(seeds)
    candidate_path(settings).unlink()
    kept_tonight_path(settings).unlink()
    order = building.delivery_order(settings, state, None)
    building.prepare_work(settings, state, order, full["run_id"], as_of, None)
    building.prepare_candidate(settings, state, None)
    plan = settings.home / "warehouse" / "bare.json"
    plan.write_text(json.dumps(full["ran"]["models"]), encoding="utf-8")
    before, started = _used(), time.monotonic()
    said = subprocess.run(
        [sys.executable, __file__, str(settings.home), "--as-of", str(as_of),
         "--bare", str(plan)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    cost = _cost(before, started)
    plan.unlink()
    seeds.unlink()
    found = json.loads(said.stdout)
    dear = {
        name: cpu_s
        for name, cpu_s in sorted(found["models"].items(), key=lambda one: -one[1])
        if cpu_s >= cost["cpu_s"] / 100
    }
    return {**cost, "peak_mb": found["peak_mb"], "models": dear}


def run_bare(settings: Settings, models: list[tuple[str, str, float]]) -> None:
    """Run the statements; the caller measures this process."""
    limits = settings.warehouse
    with duckdb.connect(str(work_path(settings))) as con:
        con.execute("set timezone = 'UTC'")
        con.execute(f"set memory_limit = '{limits.engine_bytes}B'")
        con.execute(f"set threads = {limits.threads}")
        con.execute(f"set temp_directory = '{temp_folder(settings)}'")
        con.execute("set checkpoint_threshold = '1TB'")
        warehouse = settings.home / "warehouse"
        con.execute(
            f"attach '{candidate_path(settings)}' as pub (storage_version 'v1.0.0')"
        )
        con.execute(f"attach '{kept_tonight_path(settings)}' as kept")
        con.execute(f"attach '{warehouse / 'seeds.duckdb'}' as laid (read_only)")
        con.execute("create schema seed")
        for (table,) in con.execute(
            "select table_name from duckdb_tables()"
            " where database_name = 'laid' and schema_name = 'seed'"
        ).fetchall():
            con.execute(f"create table seed.{table} as from laid.seed.{table}")
        con.execute("create schema if not exists staging")
        con.execute("create schema if not exists intermediate")
        con.execute("create schema if not exists kept.finding")
        con.execute("create schema if not exists kept.form")
        used = {}
        for name, sql, _ in models:
            before = time.process_time()
            con.execute(sql)
            used[name] = round(time.process_time() - before, 2)
    print(json.dumps({"peak_mb": _peak(), "models": used}))


def publish(settings: Settings, run_id: str) -> None:
    """Publish without the gate, which is measured elsewhere."""
    ControlState(settings.home).set_run(run_id, "validated")
    night.publish(settings, run_id)


def deliver_news(settings: Settings, as_of: date, n_clients: int) -> None:
    """Lay a delivery in which so many clients, of all places, have a new session."""
    inbox = settings.home / "inbox" / "canonical"
    with (sorted(inbox.iterdir())[0] / "sessions.csv").open(encoding="utf-8") as file:
        latest = {row["client_id"]: row for row in csv.DictReader(file)}
    folder = inbox / f"{as_of + timedelta(days=1)}-news-of-{n_clients}"
    folder.mkdir()
    clients = sorted(latest)[:: max(1, len(latest) // n_clients)][:n_clients]
    with (folder / "sessions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [latest[client] for client in clients]
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {
                "session_id": f"{row['session_id']}-new-{n_clients}",
                "started_at": f"{as_of}T09:00:00", "ended_at": f"{as_of}T09:50:00",
                "status": "attended",
            })  # fmt: skip
    (folder / "_SUCCESS").touch()


def _used() -> tuple[float, float]:
    mine = resource.getrusage(resource.RUSAGE_SELF)
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (mine.ru_utime + mine.ru_stime, theirs.ru_utime + theirs.ru_stime)


def _cost(before: tuple[float, float], started: float) -> dict[str, float]:
    mine, theirs = (now - then for now, then in zip(_used(), before, strict=True))
    return {
        "cpu_s": round(mine + theirs, 1),
        "child_cpu_s": round(theirs, 1),  # its one child: dbt, or the bare connection
        "wall_s": round(time.monotonic() - started, 1),
    }


def _peak() -> int:
    """Return the most megabytes that this process held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    main()
