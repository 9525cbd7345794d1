"""The comparison of marts tells a difference, wherever it is (benchmarks/spark_parity.py)."""

import sys
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from spark_parity import Compared, compare, marts

OURS = "select 'a' as k, 1 as n, 2e0 as x union all select 'b', 2, null"


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("attach ':memory:' as candidate")
    con.execute("create schema candidate.core")
    con.execute(f"create table candidate.core.t as {OURS}")
    return con


def compared(con: duckdb.DuckDBPyConnection, folder: Path, theirs: str) -> Compared:
    files = folder / "core.db" / "t"
    files.mkdir(parents=True)
    con.execute(f"copy ({theirs}) to '{files}/part.parquet'")
    return compare(con, "core", "t", ["k"], folder)


def test_rows_in_another_order_and_a_last_bit_are_equal(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    theirs = (
        "select 'b' as k, 2 as n, null::double as x union all select 'a', 1, 2e0+1e-12"
    )
    assert compared(con, tmp_path, theirs).is_equal


@pytest.mark.parametrize(
    "theirs",
    [
        f"{OURS} union all select 'c', 3, 0e0",
        f"{OURS} limit 1",
        f"select * replace (n + 1 as n) from ({OURS})",
        f"select * replace (x + 1e-7 as x) from ({OURS})",
        f"select * replace (coalesce(x, 0) as x) from ({OURS})",
        f"select * replace (case when k = 'a' then 'c' else k end as k) from ({OURS})",
        f"select * from ({OURS}) where false",
    ],
)
def test_a_difference_is_told(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, theirs: str
) -> None:
    assert not compared(con, tmp_path, theirs).is_equal


def test_a_table_that_spark_did_not_write_is_told(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert compare(con, "core", "t", ["k"], tmp_path).n_lone == 2


def test_every_mart_is_compared_by_the_key_of_its_page() -> None:
    found = {name: keys for _, name, keys in marts()}
    models = {p.stem for p in (ROOT / "dbt_project/models/marts").rglob("*.sql")}
    assert set(found) == models
    assert all(found.values())
