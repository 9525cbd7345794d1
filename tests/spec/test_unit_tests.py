"""The models' own tests, run on the warehouse that the chapters share.

A night builds without them: they guard the code (ADR 6).
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT
from rapport.settings import load_settings
from rapport.warehouse.build import dbt_environment
from rapport.warehouse.rendered import ModelTexts
from spec.conftest import AS_OF, Night

Dbt = Callable[..., Path]
PROJECT = ROOT / "dbt_project"
MARTS = sorted(path.stem for path in (PROJECT / "models" / "marts").rglob("*.sql"))


@pytest.fixture(scope="module")
def dbt(night: Night, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    """Lend dbt on the warehouse that the chapters share; its target holds the last run."""
    target = tmp_path_factory.mktemp("dbt")
    night.con.close()

    def run(*command: str) -> Path:
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-level-file", "none", *command,
             "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)],
            env=dbt_environment(load_settings({"RAPPORT_HOME": str(night.home.path)})),
            cwd=target, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (target / "run_results.json").exists(), done.stdout + done.stderr
        return target

    yield run
    night.reopen()


@pytest.fixture(scope="module")
def results(dbt: Dbt) -> list[dict]:
    """Run every test of the dbt project once: unit tests, grains, links."""
    said = (dbt("test") / "run_results.json").read_text("utf-8")
    return json.loads(said)["results"]


@pytest.fixture(scope="module")
def compiled(results: list[dict], dbt: Dbt) -> Path:
    """Compile every model, after the tests, whose parse it goes on from."""
    return dbt("compile", "--select", "resource_type:model")


def test_every_test_of_the_models_passes(results: list[dict]) -> None:
    kinds = {r["unique_id"].split(".")[0] for r in results}
    assert kinds == {"test", "unit_test"}
    assert [r["unique_id"] for r in results if r["status"] != "pass"] == []


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_has_a_unit_test(results: list[dict], mart: str) -> None:
    unit_tests = [r["unique_id"] for r in results if r["unique_id"][:5] == "unit_"]
    models = {name.split(".")[2] for name in unit_tests}
    assert mart in models


def test_sql_rendered_without_dbt_is_dbts_letter_for_letter(
    compiled: Path,
) -> None:
    """So `rapport chart` and the dashboard agree on every case, drawn or not."""
    manifest = json.loads((compiled / "manifest.json").read_text("utf-8"))
    relations = {
        node["name"]: node["relation_name"] for node in manifest["nodes"].values()
    }
    sources = {
        (source["source_name"], source["name"]): source["relation_name"]
        for source in manifest["sources"].values()
    }
    texts = ModelTexts(PROJECT, relations.__getitem__, lambda *named: sources[named])
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    assert {"spc_series", "spc_point", "clinic_funnel"} <= {m["name"] for m in models}
    for model in models:
        assert texts.model(model["name"]) == model["compiled_code"].strip(), model[
            "name"
        ]


@pytest.mark.parametrize(
    ("metric", "by", "table"),
    [
        (
            "repaired_share",
            ["method", "instrument"],
            "qi.rupture_repair_monthly where lead_component = 'all'",
        ),
    ],
)
def test_a_metric_of_the_semantic_layer_equals_its_quality_table(
    compiled: Path, night: Night, metric: str, by: list[str], table: str
) -> None:
    """What dbt makes of the metric's YAML, asked month by month."""
    said = json.loads((compiled / "semantic_manifest.json").read_text("utf-8"))
    keys = ", ".join(["month", *by])
    candidate = night.home.path / "warehouse" / "candidate.duckdb"
    with duckdb.connect(candidate, read_only=True) as con:
        asked = con.execute(_metric_sql(said, metric, by)).fetchall()
        shown = con.execute(
            f"select {keys}, {metric} from {table} and clinic_key = 'all'"
            f" and {metric} is not null order by all"
        ).fetchall()
    assert shown
    whole = {row[:-1]: row[-1] for row in asked}
    for row in shown:
        assert whole[row[:-1]] == pytest.approx(row[-1]), row


def _metric_sql(said: dict, name: str, by: list[str]) -> str:
    """Write the query of a ratio metric, a row a month and key."""
    metrics = {metric["name"]: metric["type_params"] for metric in said["metrics"]}
    parts = [metrics[name][part]["name"] for part in ("numerator", "denominator")]
    (model,) = [
        model
        for model in said["semantic_models"]
        if {measure["name"] for measure in model["measures"]} >= set(parts)
    ]
    measures = {measure["name"]: measure for measure in model["measures"]}
    top, bottom = (f"{measures[p]['agg']}({measures[p]['expr']})" for p in parts)
    relation, day = model["node_relation"], model["defaults"]["agg_time_dimension"]
    keys = ", ".join([f"cast(date_trunc('month', {day}) as date) as month", *by])
    return (
        f"select {keys}, {top} / nullif({bottom}, 0)"
        f" from {relation['schema_name']}.{relation['alias']}"
        f" where {day} <= date '{AS_OF}' group by all"
    )
