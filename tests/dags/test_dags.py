"""The DAGs load, wire what they should, and hold no work of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROBE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_name="dags-folder")
import tasks
heavy = [m for m in ("duckdb", "great_expectations", "dbt") if m in sys.modules]
print("\\n" + json.dumps({
    "errors": len(bag.import_errors),
    "tasks": {d: [t.task_id for t in dag.topological_sort()] for d, dag in bag.dags.items()},
    "pools": sorted({t.pool for d in bag.dags.values() for t in d.tasks
                     if t.task_id not in ("bronze_changed", "snapshot_published",
                                          "sign_off", "releases_settled")}),
    "heavy": heavy,
    "safe": [tasks.is_safe({"a": 1, "b": "b_abc"}), tasks.is_safe({"a": "Jane Doe"}),
             tasks.is_safe(None)],
}))
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict:
    import json

    from rapport.airflow_night import airflow_environment
    from rapport.settings import load_settings

    home = tmp_path_factory.mktemp("airflow")
    settings = load_settings({"RAPPORT_HOME": str(home)})
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(ROOT / "dags")],
        env=airflow_environment(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_dags_load_with_their_steps_in_order(probe: dict) -> None:
    assert probe["errors"] == 0
    assert probe["tasks"] == {
        "ingest_exports": ["discover_deliveries", "load_delivery", "bronze_changed"],
        "build_marts": ["start_run", "build", "validate", "publish", "dashboard",
                        "digest", "snapshot_published"],
        "release_extracts": ["prepare_requests", "report_figures", "sign_off",
                             "settle_extract", "releases_settled"],
    }  # fmt: skip


def test_every_step_waits_for_the_one_writer(probe: dict) -> None:
    assert probe["pools"] == ["warehouse"]


def test_loading_the_dags_imports_no_engine(probe: dict) -> None:
    assert probe["heavy"] == []


def test_a_task_may_return_counts_and_opaque_ids_only(probe: dict) -> None:
    assert probe["safe"] == [True, False, False]


def test_dag_files_only_wire() -> None:
    files = [
        ROOT / "dags" / f"{name}.py"
        for name in ("ingest_exports", "build_marts", "release_extracts")
    ]
    for file in files:
        assert len(file.read_text().splitlines()) <= 70
        assert "select " not in file.read_text().lower()


def test_only_the_trigger_imports_airflow() -> None:
    importing = [
        path.name
        for path in sorted((ROOT / "src").rglob("*.py"))
        if any(
            line.lstrip().startswith(("import airflow", "from airflow"))
            for line in path.read_text().splitlines()
        )
    ]
    assert importing == ["inbox_trigger.py"]
