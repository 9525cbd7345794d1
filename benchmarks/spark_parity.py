"""Compare every mart that Spark built with the one that DuckDB built, at 1e-9.

``python benchmarks/spark_parity.py CANDIDATE.duckdb SPARK_WAREHOUSE``: rows are matched as
wholes, in any order; decimals may differ by 1e-9 of themselves, anything else not at all.
Only counts and column names are told, never a value. Exit code 1 when a table differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).resolve().parent.parent
MARTS = ROOT / "dbt_project" / "models" / "marts"
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Compared:
    """One mart on both engines."""

    table: str
    n_duckdb: int
    n_spark: int
    # Rows of one engine whose key the other one lacks.
    n_lone: int
    # Column -> rows of both engines that differ in it.
    differing: dict[str, int]

    @property
    def is_equal(self) -> bool:
        """Whether all rows and all cells agree."""
        return self.n_duckdb == self.n_spark and not self.n_lone and not self.differing


def marts() -> Iterator[tuple[str, str, list[str]]]:
    """Return schema, name and key columns of every mart, as its page states them."""
    for path in sorted(MARTS.rglob("*.yml")):
        (model,) = yaml.safe_load(path.read_text("utf-8"))["models"]
        keys = [
            [column["name"]]
            for column in model["columns"]
            if "unique" in column.get("data_tests", [])
        ]
        for said in model.get("data_tests", []):
            if "unique_together" in said:
                keys.append(said["unique_together"]["arguments"]["columns"])
        yield path.parent.name, model["name"], keys[0]


def compare(
    con: duckdb.DuckDBPyConnection, schema: str, name: str, keys: list[str], spark: Path
) -> Compared:
    """Compare one mart by its key."""
    ours = f"candidate.{schema}.{name}"
    files = str(spark / f"{schema}.db" / name / "*.parquet")
    if not glob(files):
        # Spark writes no file for a table without rows.
        con.execute(f"create or replace temp view theirs as from {ours} where false")
    else:
        con.execute(
            f"create or replace temp view theirs as from read_parquet('{files}')"
        )
    columns = con.execute(f"describe {ours}").fetchall()
    same_key = " and ".join(f"d.{key} is not distinct from s.{key}" for key in keys)
    counts = [
        f"count(*) filter (where d.is_there and s.is_there and {_differs(*column[:2])})"
        for column in columns
    ]
    n_duckdb, n_spark, n_lone, *n_differing = (
        con.execute(
            f"select (select count(*) from {ours}), (select count(*) from theirs),"
            " count(*) filter (where d.is_there is null or s.is_there is null),"
            f" {', '.join(counts)}"
            f" from (select *, true as is_there from {ours}) as d"
            f" full join (select *, true as is_there from theirs) as s on {same_key}"
        ).fetchone()
        or ()
    )
    return Compared(
        f"{schema}.{name}",
        n_duckdb,
        n_spark,
        n_lone,
        {c[0]: n for c, n in zip(columns, n_differing, strict=True) if n},
    )


def _differs(column: str, type_: str) -> str:
    d, s = f'd."{column}"', f's."{column}"'
    if type_ != "DOUBLE":
        return f"{d} is distinct from {s}"
    return (
        f"({d} is null) <> ({s} is null)"
        f" or abs({d} - {s}) > {TOLERANCE} * greatest(1, abs({d}))"
    )


def compare_all(candidate: Path, spark: Path) -> list[Compared]:
    """Compare every mart of a candidate with those in Spark's warehouse folder."""
    found = []
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        path = str(candidate).replace("'", "''")
        con.execute(f"attach '{path}' as candidate (read_only)")
        for schema, name, keys in marts():
            result = compare(con, schema, name, keys, spark)
            found.append(result)
            print(told(result))
    return found


def told(result: Compared) -> str:
    """Return a line about a mart: counts and columns, never a value."""
    return (
        f"{'equal  ' if result.is_equal else 'DIFFERS'} {result.table}:"
        f" {result.n_duckdb} rows on DuckDB, {result.n_spark} on Spark"
        + (f", {result.n_lone} without a counterpart" if result.n_lone else "")
        + "".join(f", {n} differ in {c}" for c, n in result.differing.items())
    )


def main() -> int:
    """Compare all marts; print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("candidate", type=Path)
    parser.add_argument("spark", type=Path, help="Spark's warehouse folder")
    asked = parser.parse_args()
    found = compare_all(asked.candidate, asked.spark)
    return 0 if found and all(result.is_equal for result in found) else 1


if __name__ == "__main__":
    sys.exit(main())
