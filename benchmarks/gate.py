"""The gate on a built night, and on the same night multiplied to ten million items.

For whoever looks after the gate. Usage: python benchmarks/gate.py HOME [ITEMS] > result.json

HOME is a RAPPORT_HOME whose night is built. Its bronze and its candidate are copied as
often as ITEMS (default 10,000,000) asks, every copy under keys of its own, into a folder
that goes again; the quality tables and the registry stay as they are, as they would with
more clients. With ITEMS 0 the home is judged as it is, for one that is large itself. The real
gate judges each in a process of its own, under the limits that a night gives it, so that peak
memory is its own; ``load`` is what it costs to load Great Expectations alone, which a night
hides behind its build. ``costliest`` are the checks whose own count takes most of the engine,
each asked for alone: what a scan that serves every check of its table saves is not seen there.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import duckdb

from rapport.settings import PROJECT_ROOT, load_settings
from rapport.validate import Gate, load_suites
from rapport.validate.gate import engine_limits

_MOST = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
# Text columns that hold a key of another table, beside those named X_key.
_KEYS = {"after_rupture", "prior_signal"}
_AS_THEY_ARE = {"dim_instrument", "dim_rupture_method", "dim_care_signal",
                "trajectory_by_session"}  # fmt: skip


def multiply(home: Path, folder: Path, n_items: int) -> dict[str, Path]:
    """Lay both databases with every key made anew for each copy."""
    work, candidate = folder / "work.duckdb", folder / "candidate.duckdb"
    with duckdb.connect(work) as con:
        con.execute(f"set temp_directory = '{folder / 'spill'}'")
        con.execute("set memory_limit = '4GB'")
        con.execute(
            f"attach '{home / 'warehouse' / 'work.duckdb'}' as old_work (read_only)"
        )
        con.execute(
            f"attach '{home / 'warehouse' / 'candidate.duckdb'}' as old_pub (read_only)"
        )
        con.execute(f"attach '{candidate}' as pub (storage_version 'v1.0.0')")
        (n_here,) = con.execute(
            "select count(*) from old_work.bronze.measure_items"
        ).fetchone()
        n_copies = max(1, round(n_items / n_here))
        for name in ("bronze", "seed", "gate", "control"):
            con.execute(f"create schema {name}")
        for schema, table in _tables(con, "old_work"):
            if schema == "bronze":
                path = folder / f"{table}.parquet"
                made = _copied(con, "old_work", schema, table, n_copies)
                con.execute(f"copy ({made}) to '{path}' (compression zstd)")
                con.execute(
                    f"create view bronze.{table} as from read_parquet('{path}')"
                )
            elif schema in ("seed", "gate", "control"):
                con.execute(
                    f"create table {schema}.{table} as from old_work.{schema}.{table}"
                )
        for schema, table in _tables(con, "old_pub"):
            n = 1 if schema in ("qi", "ops") or table in _AS_THEY_ARE else n_copies
            con.execute(f"create schema if not exists pub.{schema}")
            con.execute(
                f"create table pub.{schema}.{table} as"
                f" {_copied(con, 'old_pub', schema, table, n)}"
            )
    return {"work": work, "candidate": candidate}


def _tables(con: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, str]]:
    return con.execute(
        "select distinct schema_name, table_name from duckdb_columns()"
        " where database_name = ? and not internal order by 1, 2",
        [database],
    ).fetchall()


def _copied(
    con: duckdb.DuckDBPyConnection, database: str, schema: str, table: str, n: int
) -> str:
    """Return a query of n copies: the last two letters of a key tell the copy."""
    columns = con.execute(
        "select column_name, data_type from duckdb_columns() where database_name = ?"
        " and schema_name = ? and table_name = ? order by column_index",
        [database, schema, table],
    ).fetchall()
    mark = f"'{_LETTERS}'[1 + copy // 32] || '{_LETTERS}'[1 + copy % 32]"
    said = ", ".join(
        f"left({name}, -2) || {mark} as {name}"
        if type_ == "VARCHAR" and n > 1 and (name.endswith("_key") or name in _KEYS)
        else name
        for name, type_ in columns
    )
    return (
        f"select {said} from {database}.{schema}.{table}"
        f" cross join range({n}) as copies (copy)"
    )


def judged(databases: dict[str, Path], limits: dict[str, str]) -> dict[str, object]:
    """Let the gate judge; say what it cost."""
    began = time.perf_counter()
    with Gate(PROJECT_ROOT) as gate:
        gate.judge({}, [])
        loaded = time.perf_counter() - began
        load_cpu = _cpu_of(gate)
        verdicts = gate.judge(databases, limits=limits)
        wall = time.perf_counter() - began - loaded
        judge_cpu = _cpu_of(gate) - load_cpu
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "checks": len(verdicts),
        "status": Counter(v["status"] for v in verdicts),
        "failed": sorted(v["check_name"] for v in verdicts if v["status"] != "pass"),
        "load_wall_s": round(loaded, 1),
        "load_cpu_s": round(load_cpu, 1),
        "judge_wall_s": round(wall, 1),
        "judge_cpu_s": round(judge_cpu, 1),
        "peak_mb": used.ru_maxrss // 1024,
        "costliest": costliest(databases, limits),
    }


def _cpu_of(gate: Gate) -> float:
    """Return the CPU seconds that the gate's process has used so far."""
    fields = Path(f"/proc/{gate.pid}/stat").read_text("ascii").rpartition(") ")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def costliest(databases: dict[str, Path], limits: dict[str, str]) -> dict[str, float]:
    """Return the CPU seconds of the checks that cost most, each counted alone."""
    costs: dict[str, float] = {}
    for database, path in databases.items():
        with duckdb.connect(path, read_only=True, config=limits) as con:
            con.execute("set timezone = 'UTC'")
            for check in load_suites(PROJECT_ROOT):
                if check.database == database:
                    began = time.process_time()
                    with suppress(duckdb.Error):  # a home of an earlier rapport
                        con.execute(check.broken_rows).fetchone()
                    costs[check.id] = round(time.process_time() - began, 2)
    most = sorted(costs.items(), key=lambda cost: -cost[1])[:_MOST]
    return {"all checks": round(sum(costs.values()), 2), **dict(most)}


def _apart(databases: dict[str, Path], limits: dict[str, str]) -> dict[str, object]:
    """Judge in a process of its own, whose children are this gate alone."""
    asked = json.dumps([{k: str(v) for k, v in databases.items()}, limits])
    said = subprocess.run(
        [sys.executable, __file__, "--judge", asked],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return json.loads(said)


def main() -> None:
    """Measure both and print."""
    if sys.argv[1] == "--judge":
        paths, limits = json.loads(sys.argv[2])
        here = {name: Path(path) for name, path in paths.items()}
        print(json.dumps(judged(here, limits)))
        return
    home = Path(sys.argv[1]).resolve()
    n_items = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    here = {
        name: home / "warehouse" / f"{name}.duckdb" for name in ("work", "candidate")
    }
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(home)})
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        limits = {**engine_limits(settings), "temp_directory": f"{folder}/tmp"}
        found: dict[str, object] = {"as_built": _apart(here, limits)}
        if n_items:
            laid = multiply(home, Path(folder), n_items)
            found[f"{n_items:,} items"] = _apart(laid, limits)
    about = {"load_average": os.getloadavg(), "limits": limits["memory_limit"]}
    print(json.dumps({**about, **found}, indent=2))


if __name__ == "__main__":
    main()
