"""A CSV of items through the door, against DuckDB doing the same bare, in one run.

For whoever looks after the door. Usage: python benchmarks/ingest_csv.py [ROWS] > result.json

"Bare" is one engine that reads the same file typed, joins the ids to a table of keys, sorts by
the row's key and writes zstd Parquet; the keys are made before the clock starts. The door
does the same and also makes the keys, checks every cell, tells blank, bad and good rows apart,
and keeps the ledger. Each side runs in a process of its own, so peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from rapport.settings import Settings

_ITEMS = 12


def write(path: Path, n_rows: int) -> None:
    """Write ``n_rows`` answers: twelve an administration."""
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select 'M' || (n // {_ITEMS}) as administration_id,
                    (1 + n % {_ITEMS})::varchar as item, 1 + n % 5 as value
                from range({n_rows}) as r (n)
            ) to '{path}' (header true)
            """
        )


def bare(csv: Path, keys: Path, out: Path, settings: Settings) -> None:
    """Let the engine do it alone."""
    with duckdb.connect(
        config={
            "memory_limit": settings.warehouse.memory_limit,
            "threads": str(settings.warehouse.threads),
            "temp_directory": str(out.parent / "spill"),
        }
    ) as con:
        con.execute(
            f"""
            copy (
                select k.key as administration_key, r.item, r.value
                from read_csv('{csv}', header = true, auto_detect = false, delim = ',',
                    columns = {{'administration_id': 'VARCHAR', 'item': 'VARCHAR',
                        'value': 'DOUBLE'}}) as r
                join read_parquet('{keys}') as k using (administration_id)
                order by administration_key
            ) to '{out}' (format parquet, compression zstd)
            """
        )


def door(home: Path) -> None:
    """Let the door do it."""
    from rapport import night

    counts = night.ingest(Settings(home=home))
    assert counts["n_rows_in"] == counts["n_rows_loaded"] > 0


def measured(side: str, folder: Path) -> dict[str, float]:
    """Run one side in a process of its own; return wall, CPU and peak memory."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, __file__, side, str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(time.monotonic() - began, 2),
        "cpu_s": round(cpu, 2),
        "peak_mb": float(done.stdout.strip().splitlines()[-1]),
    }


def main(n_rows: int) -> None:
    """Measure both sides; print one JSON document."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        delivery = folder / "home" / "inbox" / "canonical" / "d1"
        delivery.mkdir(parents=True)
        write(delivery / "measure_items.csv", n_rows)
        (delivery / "_SUCCESS").touch()
        with duckdb.connect() as con:
            con.execute(
                f"""
                copy (
                    select 'M' || n as administration_id,
                        'ad_' || left(sha256('k' || n), 26) as key
                    from range({n_rows // _ITEMS + 1}) as r (n)
                ) to '{folder / "keys.parquet"}' (format parquet)
                """
            )
        found = {side: measured(side, folder) for side in ("bare", "door")}
    print(
        json.dumps(
            {
                "n_rows": n_rows,
                **found,
                "cpu_ratio": round(found["door"]["cpu_s"] / found["bare"]["cpu_s"], 2),
                "load_average": round(os.getloadavg()[0], 1),
            }
        )
    )


def _side(side: str, folder: Path) -> None:
    home = folder / "home"
    if side == "door":
        door(home)
    else:
        csv = home / "inbox" / "canonical" / "d1" / "measure_items.csv"
        bare(csv, folder / "keys.parquet", folder / "bare.parquet", Settings(home=home))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _side(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 25_000_000)
