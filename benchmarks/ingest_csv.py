"""A CSV of items through the door, against DuckDB doing the same bare, in one run.

For whoever looks after the door. Usage: python benchmarks/ingest_csv.py [ROWS] [REPEATS]

- ``door``: the door, with every check, the ledger and the vault.
- ``same``: the engine alone, writing the very rows that the door writes: it reads the
  file typed, keys each distinct id (HMAC), sorts by key and writes zstd Parquet. The
  two files are held against each other, row by row, before a figure counts.
- ``given``: less than the same: keys are made before the clock starts and only joined,
  and where a row came from (source, delivery, file, row) is not written.

Sides take turns, each in a process of its own; CPU seconds are of the whole process,
import and start included. Writes benchmarks/results/ingest_csv.json.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
from measured import peak_mb, run_apart, save, summary

from rapport.ingest.spelling import literal
from rapport.privacy import KeyRing
from rapport.settings import Settings

_ITEMS = 12
_SIDES = ("given", "same", "door")
_COLUMNS = (
    "{'administration_id': 'VARCHAR', 'item': 'VARCHAR', 'value': 'DOUBLE'}"  # typed
)


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


def bare(side: str, folder: Path, settings: Settings) -> None:
    """Let the engine do it alone."""
    csv = _delivery(settings.home) / "measure_items.csv"
    read = (
        f"read_csv('{csv}', header = true, auto_detect = false, delim = ',',"
        f" columns = {_COLUMNS})"
    )
    with duckdb.connect(
        config={
            "memory_limit": settings.warehouse.memory_limit,
            "threads": str(settings.warehouse.threads),
            "temp_directory": str(folder / "spill"),
        }
    ) as con:
        if side == "given":
            con.execute(
                f"""
                copy (
                    select k.key as administration_key, r.item, r.value
                    from {read} as r
                    join read_parquet('{folder / "keys.parquet"}') as k
                        using (administration_id)
                    order by administration_key
                ) to '{folder / "given.parquet"}' (format parquet, compression zstd)
                """
            )
            return
        keys = KeyRing.of(settings)
        digest, key, pads = keys.row_key_sql(
            literal("administration"), literal("canonical"), "administration_id"
        )
        con.execute(
            f"create temp table said as select row_number() over () + 1 as row_no, *"
            f" from {read}"
        )
        con.execute(
            f"""
            create temp table keyed as
            select administration_id, {key} as administration_key
            from (
                select *, {digest} as digest
                from (select distinct administration_id from said)
            )
            """,
            pads,
        )
        con.execute(
            f"""
            copy (
                select
                    keyed.administration_key, said.item, said.value,
                    case when said.value is null then 'empty' else 'number' end
                        as value_kind,
                    'canonical' as source,
                    '{keys.batch_id("canonical", "d1")}' as batch_id,
                    1::integer as file_no, said.row_no
                from said join keyed using (administration_id)
                order by administration_key, file_no, row_no
            ) to '{folder / "same.parquet"}' (format parquet, compression zstd)
            """
        )


def door(home: Path) -> None:
    """Let the door do it."""
    from rapport import night

    counts = night.ingest(Settings(home=home))
    assert counts["n_rows_in"] == counts["n_rows_loaded"] > 0


def measured(side: str, folder: Path) -> dict[str, float]:
    """Run one side in a process of its own; return wall, CPU and peak memory."""
    for made in ("bronze", "state", "logs"):
        shutil.rmtree(folder / "home" / made, ignore_errors=True)
    cost, said = run_apart([sys.executable, __file__, side, str(folder)])
    return cost | {"peak_mb": int(said.strip().splitlines()[-1])}


def assert_equal(folder: Path) -> None:
    """Hold the door's file against that of the bare engine: the same rows, sorted."""
    (written,) = (folder / "home" / "bronze").rglob("*.parquet")
    with duckdb.connect() as con:
        of_both = [
            con.execute(
                f"select count(*), sum(hash(administration_key, item, value, value_kind,"
                f" source, batch_id, file_no, row_no)) from '{path}'"
            ).fetchone()
            for path in (written, folder / "same.parquet")
        ]
        assert of_both[0] == of_both[1], "the door's rows are not those of the engine"
        n_before = con.execute(
            "select count(*) from (select administration_key, row_no, lag(row_no) over"
            " (order by file_row_number) as row_before, lag(administration_key) over"
            " (order by file_row_number) as key_before from"
            f" read_parquet('{written}', file_row_number = true))"
            " where key_before is not null"
            " and (administration_key, row_no) < (key_before, row_before)"
        ).fetchone()
        assert n_before == (0,), "the door's rows are not sorted"


def main(n_rows: int, repeats: int) -> None:
    """Measure the sides in turn and keep what was found."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        settings = Settings(home=folder / "home")
        delivery = _delivery(settings.home)
        delivery.mkdir(parents=True)
        write(delivery / "measure_items.csv", n_rows)
        (delivery / "_SUCCESS").touch()
        KeyRing.of(settings, may_create=True)
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
        found: dict[str, list[dict[str, float]]] = {side: [] for side in _SIDES}
        for _ in range(repeats):
            for side in _SIDES:
                found[side].append(measured(side, folder))
            assert_equal(folder)
    sides = {side: summary(runs) for side, runs in found.items()}
    cpu = {side: sides[side]["cpu_s"]["median"] for side in _SIDES}
    save(
        "ingest_csv",
        {
            "n_rows": n_rows,
            "sides": sides,
            "cpu_ratio_to_same": round(cpu["door"] / cpu["same"], 2),
            "cpu_ratio_to_given": round(cpu["door"] / cpu["given"], 2),
        },
    )


def _delivery(home: Path) -> Path:
    return home / "inbox" / "canonical" / "d1"


def _side(side: str, folder: Path) -> None:
    settings = Settings(home=folder / "home")
    if side == "door":
        door(settings.home)
    else:
        bare(side, folder, settings)
    print(peak_mb())


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in _SIDES:
        _side(sys.argv[1], Path(sys.argv[2]))
    else:
        os.umask(0o077)
        asked = [int(word) for word in sys.argv[1:]]
        main(asked[0] if asked else 25_000_000, asked[1] if len(asked) > 1 else 3)
