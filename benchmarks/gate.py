"""The gate on a built night, and on the same night multiplied to ten million items.

For whoever looks after the gate. Usage: python benchmarks/gate.py HOME [ITEMS] > result.json

HOME is a RAPPORT_HOME whose night is built. Its bronze and its candidate are copied as
often as ITEMS (default 10,000,000) asks, every copy under keys of its own, into a folder
that goes again; the quality tables and the registry stay as they are, as they would with
more clients. Then the real gate judges both, each in a process of its own, so that peak
memory is its own; ``load`` is what it costs to load Great Expectations alone, which a night
hides behind its build.
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
from pathlib import Path

import duckdb

from rapport.settings import PROJECT_ROOT
from rapport.validate import Gate

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


def judged(databases: dict[str, Path]) -> dict[str, object]:
    """Let the gate judge; say what it cost."""
    began = time.perf_counter()
    with Gate(PROJECT_ROOT) as gate:
        gate.judge({}, [])
        loaded = time.perf_counter() - began
        verdicts = gate.judge(databases)
        wall = time.perf_counter() - began - loaded
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "checks": len(verdicts),
        "status": Counter(v["status"] for v in verdicts),
        "failed": sorted(v["check_name"] for v in verdicts if v["status"] != "pass"),
        "load_wall_s": round(loaded, 1),
        "judge_wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": used.ru_maxrss // 1024,
    }


def _apart(databases: dict[str, Path]) -> dict[str, object]:
    """Judge in a process of its own, whose children are this gate alone."""
    paths = json.dumps({name: str(path) for name, path in databases.items()})
    said = subprocess.run(
        [sys.executable, __file__, "--judge", paths],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return json.loads(said)


def main() -> None:
    """Measure both and print."""
    if sys.argv[1] == "--judge":
        paths = json.loads(sys.argv[2])
        print(json.dumps(judged({name: Path(path) for name, path in paths.items()})))
        return
    home = Path(sys.argv[1]).resolve()
    n_items = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    here = {
        name: home / "warehouse" / f"{name}.duckdb" for name in ("work", "candidate")
    }
    found: dict[str, object] = {"as_built": _apart(here)}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        found[f"{n_items:,} items"] = _apart(multiply(home, Path(folder), n_items))
    print(json.dumps({"load_average": os.getloadavg(), **found}, indent=2))


if __name__ == "__main__":
    main()
