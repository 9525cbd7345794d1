"""Prove: every mart that Spark builds equals the one that DuckDB builds.

``make prove-spark`` (``python benchmarks/prove_spark.py --clients 6200 --seed 7``). A clinic
is generated and taken in; DuckDB builds it, Spark builds it from the same bronze and the
same control state with the commands of docs/how-to/run-on-spark.md, and every mart is
compared (``benchmarks/spark_parity.py``). What was run, and how long it took, is appended
to ``benchmarks/results/spark.jsonl``. ``--home`` builds an existing RAPPORT_HOME again
instead: a copy, since the build takes the place of its candidate. ``--master`` names
another Spark, and ``--workers 2`` starts a standalone cluster of that many processes here.
At last Spark's marts are laid into a copy of the candidate, and the gate judges them: each
check must say of them what it says of DuckDB's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import psutil
from measured import RESULTS
from spark_parity import compare_all, marts

from rapport import night
from rapport.settings import Settings, load_settings
from rapport.synthetic import generate
from rapport.validate import Gate, load_suites
from rapport.validate.gate import engine_limits
from rapport.warehouse.connections import candidate_path, work_path
from rapport.warehouse.spark_inputs import write_inputs

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "dbt_project"
SPARK_BIN = ROOT / ".venv-spark" / "bin"
LAST_DAY = date(2026, 6, 30)


def main() -> int:
    """Build on both engines and compare; tell each mart."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=320)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--spark-bin", type=Path, default=SPARK_BIN)
    parser.add_argument("--work", type=Path, default=ROOT / ".prove" / "spark")
    asked = parser.parse_args()
    work = asked.work.resolve()
    home = asked.home or work / "home"
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(home)})
    if not asked.home and not home.exists():
        generate(asked.clients, asked.seed, home, LAST_DAY)
        night.ingest(settings)
    run_id = night.start_run(settings, LAST_DAY if not asked.home else None)
    duckdb_cost = measured(lambda: night.build(settings, run_id, full_refresh=True))
    with duckdb.connect(str(work_path(settings)), read_only=True) as con:
        run = con.execute("select run_id, as_of, known_on from control.run").fetchone()
        n_sessions, n_items = con.execute(
            "select (select count(*) from bronze.sessions),"
            " (select count(*) from bronze.measure_items)"
        ).fetchone() or (0, 0)
    assert run is not None
    inputs = write_inputs(settings, work / "inputs", *run)
    with cluster(asked.workers, asked.spark_bin, work) as own_master:
        master = own_master or asked.master
        spark_cost = measured(
            lambda: build_on_spark(work, inputs, asked.spark_bin, master)
        )
    tables = compare_all(candidate_path(settings), work / "warehouse")
    verdicts = judged(settings, candidate_path(settings))
    exported = lay_exported(candidate_path(settings), work / "warehouse", work)
    other = judged(settings, exported)
    told_apart = sorted(name for name in verdicts if other[name] != verdicts[name])
    print(
        f"gate: {len(verdicts)} checks, {len(told_apart)} say another thing of Spark's"
    )
    line = {
        "on": date.today().isoformat(),
        "clients": None if asked.home else asked.clients,
        "seed": None if asked.home else asked.seed,
        "bronze_sessions": n_sessions,
        "bronze_items": n_items,
        "master": f"{asked.workers} workers" if asked.workers else asked.master,
        "duckdb": duckdb_cost,
        "spark": spark_cost,
        "n_marts": len(tables),
        "n_checks": len(verdicts),
        "checks_told_apart": told_apart,
        "differing": [asdict(table) for table in tables if not table.is_equal],
    }
    with (RESULTS / "spark.jsonl").open("a", encoding="utf-8") as record:
        record.write(json.dumps(line) + "\n")
    print(json.dumps({k: v for k, v in line.items() if k != "differing"}, indent=1))
    return 0 if tables and not line["differing"] and not told_apart else 1


def judged(settings: Settings, candidate: Path) -> dict[str, tuple[str, int]]:
    """Return check -> (status, how much breaks it) of a candidate, as a night judges it."""
    databases = {"work": work_path(settings), "candidate": candidate}
    wanted = [check.id for check in load_suites(ROOT) if check.database in databases]
    with Gate(ROOT) as gate:
        return {
            said["check_name"]: (said["status"], said["observed"])
            for said in gate.judge(databases, wanted, limits=engine_limits(settings))
        }


def lay_exported(candidate: Path, warehouse: Path, folder: Path) -> Path:
    """Copy a candidate and put Spark's rows into the place of its marts' own."""
    exported = Path(shutil.copy(candidate, folder / "exported.duckdb"))
    with duckdb.connect(str(exported)) as con:
        con.execute("set timezone = 'UTC'")
        for schema, name, _ in marts():
            con.execute(f"delete from {schema}.{name}")
            files = warehouse / f"{schema}.db" / name
            if list(files.glob("*.parquet")):  # a table without rows has no file
                con.execute(
                    f"insert into {schema}.{name} by name"
                    f" from read_parquet('{files}/*.parquet')"
                )
    return exported


def build_on_spark(work: Path, inputs: Path, spark_bin: Path, master: str) -> None:
    """Bind the sources and build the models, as the how-to does."""
    for left in ("warehouse", "metastore_db"):
        shutil.rmtree(work / left, ignore_errors=True)
    shared = ["--target", "spark", "--profiles-dir", str(PROJECT)]
    shared += ["--project-dir", str(PROJECT), "--log-level", "info"]
    environment = {
        **os.environ,
        "PATH": f"{spark_bin}{os.pathsep}{os.environ['PATH']}",
        "TZ": "UTC",
        "DBT_RAPPORT_SPARK_MASTER": master,
        "DBT_RAPPORT_SPARK_WAREHOUSE": str(work / "warehouse"),
        "DBT_TARGET_PATH": str(work / "target"),
        "DBT_LOG_PATH": str(work / "logs"),
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PYTHONPATH", None)
    for command in (
        [
            "run-operation",
            "bind_sources",
            "--args",
            json.dumps({"inputs": str(inputs)}),
        ],
        # As a night: dbt's tests guard the code, and run on DuckDB in `make test`.
        ["seed"],
        ["run"],
    ):
        subprocess.run(
            [str(spark_bin / "dbt"), *command, *shared],
            cwd=work,
            env=environment,
            check=True,
        )


@contextmanager
def cluster(n_workers: int, spark_bin: Path, work: Path) -> Iterator[str]:
    """Run a standalone master and workers of one core each on loopback; yield its address.

    Without workers there is none, and what is yielded is empty.
    """
    if not n_workers:
        yield ""
        return
    (found,) = spark_bin.parent.glob(
        "lib/python*/site-packages/pyspark/bin/spark-class"
    )
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    commands = [
        [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port),
         "--webui-port", "0"],
        *[[f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--cores", "1",
           "--memory", "3g", "--webui-port", "0", "--work-dir", str(work / f"worker{n}"),
           address] for n in range(n_workers)],
    ]  # fmt: skip
    started = []
    with (work / "cluster.log").open("w") as log:
        try:
            for command in commands:
                started.append(
                    subprocess.Popen([str(found), *command], stdout=log, stderr=log)
                )
                _wait_for(port)
            yield address
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def measured(job: Any) -> dict[str, float]:
    """Return wall seconds of a job, and CPU seconds of all processes below this one.

    Engines are killed, not waited for, by those who started them, so that the system's own
    sum lacks them: each process is looked at while it lives.
    """
    began, is_over = time.monotonic(), threading.Event()
    seen: dict[tuple[int, float], float] = {}

    def look() -> None:
        while True:
            for process in [
                psutil.Process(),
                *psutil.Process().children(recursive=True),
            ]:
                try:
                    used = process.cpu_times()
                    key = process.pid, process.create_time()
                except psutil.NoSuchProcess:
                    continue
                first.setdefault(key, 0.0)
                seen[key] = used.user + used.system
            if is_over.wait(0.5):
                return

    first = _cpu_now()
    watch = threading.Thread(target=look)
    watch.start()
    try:
        job()
    finally:
        is_over.set()
        watch.join()
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(sum(used - first[key] for key, used in seen.items()), 1),
    }


def _cpu_now() -> dict[tuple[int, float], float]:
    found = {}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        used = process.cpu_times()
        found[process.pid, process.create_time()] = used.user + used.system
    return found


if __name__ == "__main__":
    sys.exit(main())
