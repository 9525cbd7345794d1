"""Every model as a real Spark reads it: names, functions, types and contracts (ADR 0072).

Spark analyses the SQL that it would be given over tables without rows; what the models
compute there is `make prove-spark`'s to show. `make check-spark` runs this.
"""

import json
import os
import subprocess
from collections.abc import Callable
from graphlib import TopologicalSorter
from typing import Any

import duckdb
import pytest
import yaml

from conftest import ROOT, Home
from lib.rendered import PROJECT, SparkTexts

PYTHON = ROOT / ".venv-spark" / "bin" / "python"
Analyse = Callable[[dict[str, str]], dict[str, dict[str, Any]]]

pytestmark = pytest.mark.skipif(
    not PYTHON.exists() and os.environ.get("SPARK_TESTS") != "required",
    reason="Spark's environment is not set up: make check-spark",
)


def spark_type(duckdb_type: str) -> str:
    """Return Spark's name of a type, as macros/spark/types.sql has it."""
    kind = duckdb_type.lower()
    return {"varchar": "string", "integer": "int", "ubigint": "bigint"}.get(kind, kind)


@pytest.fixture(scope="module")
def analyse(sample_home: Home) -> Analyse:
    """Return an analysis of all models, or of some given texts alone."""
    work = sample_home.path / "warehouse" / "work.duckdb"
    with duckdb.connect(str(work), read_only=True) as con:
        found = con.execute(
            "select schema_name, table_name, list(column_name order by column_index),"
            " list(data_type order by column_index) from duckdb_columns()"
            " where schema_name in ('control', 'bronze', 'seed') group by all"
        ).fetchall()
    tables = {
        table if schema == "seed" else f"{schema}__{table}": ", ".join(
            f"`{name}` {spark_type(kind)}"
            for name, kind in zip(names, kinds, strict=True)
        )
        for schema, table, names, kinds in found
    }
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text("utf-8"))
    said = profile["rapport"]["outputs"]["spark"]["server_side_parameters"]
    parameters = {name: value for name, value in said.items() if "env_var" not in value}
    reads: dict[str, set[str]] = {}
    reading = ""

    def ref(name: str) -> str:
        reads[reading].add(name)
        return name

    texts = SparkTexts(PROJECT, ref, lambda schema, name: f"{schema}__{name}")
    rendered = {}
    for path in sorted((PROJECT / "models").rglob("*.sql")):
        reading = path.stem
        reads[reading] = set()
        rendered[reading] = texts.model(reading)
    order = [n for n in TopologicalSorter(reads).static_order() if n in rendered]

    def analysed(given: dict[str, str]) -> dict[str, dict[str, Any]]:
        written = given or {name: rendered[name] for name in order}
        models = [{"name": name, "sql": sql} for name, sql in written.items()]
        asked = {"parameters": parameters, "tables": tables, "models": models}
        done = subprocess.run(
            [PYTHON, ROOT / "tests" / "lib" / "spark_analysis.py"],
            input=json.dumps(asked), capture_output=True, text=True, check=False,
            env={**os.environ, "TZ": "UTC"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
        return answer

    return analysed


def contracts() -> dict[str, list[list[str]]]:
    """Return model -> (column, type) of each that its contract promises, by name."""
    found = {}
    for path in (PROJECT / "models").rglob("*.yml"):
        for entry in yaml.load(path.read_text("utf-8"), yaml.CSafeLoader).get(
            "models", []
        ):
            columns = entry.get("columns", [])
            if columns and all("data_type" in column for column in columns):
                found[entry["name"]] = sorted(
                    [column["name"], spark_type(column["data_type"])]
                    for column in columns
                )
    assert len(found) > 30
    return found


def test_spark_reads_every_model_and_finds_what_its_contract_promises(
    analyse: Analyse,
) -> None:
    said = analyse({})
    assert len(said) > 140
    refused = {
        name: told["refused"] for name, told in said.items() if "refused" in told
    }
    assert refused == {}
    for name, promised in contracts().items():
        assert sorted(said[name]["columns"]) == promised, name


def test_what_spark_cannot_read_is_told(analyse: Analyse) -> None:
    said = analyse({
        "a_function": "select lgamma(1e0) as x",
        "a_column": "select clinic from bronze__clinics",
        "what_fell_out": "select x from a_column",
        "another_type": "select 7 / 2.0 as x",
    })  # fmt: skip
    assert "lgamma" in said["a_function"]["refused"]
    assert "clinic" in said["a_column"]["refused"]
    assert "a_column" in said["what_fell_out"]["refused"]
    assert said["another_type"]["columns"][0][1].startswith("decimal")
