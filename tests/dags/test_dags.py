"""The DAGs load, wire what they should, and hold no work of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from rapport.live.supervisor import dag_files

ROOT = Path(__file__).parents[2]
_PROBE = """
import json, sys, traceback
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_name="dags-folder")
import tasks

def answered(chosen, by):
    # What settle_extract asks of the lifecycle, after an answer on the real operator.
    from rapport.extracts import lifecycle
    sign_off = bag.dags["release_extracts"].get_task("one_request.sign_off").unmap({})
    event = {"chosen_options": [chosen], "responded_at": datetime.now(UTC),
             "params_input": {"reason_to_refuse": "agreement_not_signed"} if by else {},
             "responded_by_user": {"id": by, "name": by} if by else None}
    answer = sign_off.execute_complete({}, event)
    asked = []
    lifecycle.settle_extract = lambda settings, *said: asked.extend(said) or {"a": 1}
    tasks.settle_extract.function("q_abc", dict(answer))
    return asked[:-1]

heavy = [m for m in ("duckdb", "great_expectations", "dbt") if m in sys.modules]
def failing(settings):
    name = "Zq Kestrel"
    raise ValueError(f"Could not convert string {name!r} to INT32")
def told(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        said = traceback.TracebackException.from_exception(error, capture_locals=True)
        return type(error).__name__, "".join(said.format())
print("\\n" + json.dumps({
    "unguarded": told(failing, None), "guarded": told(tasks.step(failing)),
    "errors": len(bag.import_errors),
    "tasks": {d: [t.task_id for t in dag.topological_sort()] for d, dag in bag.dags.items()},
    "pools": sorted({t.pool for d in bag.dags.values() for t in d.tasks
                     if t.task_id not in ("bronze_changed", "snapshot_published",
                                          "one_request.sign_off")}),
    "heavy": heavy,
    "assets": {d: [asset.name for asset in dag.timetable.asset_condition.objects]
               for d, dag in bag.dags.items() if dag.timetable.asset_condition},
    "answers": [answered("Approve", "Grace Hopper"), answered("Refuse", "Grace Hopper"),
                answered("Later", "")],
    "safe": [tasks.is_safe({"a": 1, "b": "b_abc"}), tasks.is_safe({"a": "Jane Doe"}),
             tasks.is_safe(None)],
}))
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict:
    import json

    from rapport.live import airflow_environment
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
        "release_extracts": ["prepare_requests", "one_request.report_figures",
                             "one_request.sign_off", "one_request.settle_extract"],
        "watch_morning": ["check_morning"],
        "housekeeping": ["retire", "rotate_logs", "clean_airflow", "verify",
                         "rehearse_restore", "vacuum"],
    }  # fmt: skip


def test_what_is_dropped_and_what_changed_start_the_work(probe: dict) -> None:
    assert probe["assets"] == {
        "ingest_exports": ["rapport_inbox"],
        "build_marts": ["rapport_bronze"],
        "release_extracts": ["rapport_requests"],
    }


def test_each_file_that_airflow_reads_holds_a_dag_of_its_name(probe: dict) -> None:
    """The live system waits until as many DAGs as files are known."""
    files = [name.removesuffix(".py") for name in dag_files(ROOT / "dags")]
    assert files == sorted(probe["tasks"])


def test_an_answer_on_the_approval_page_reaches_the_ledger_by_name(
    probe: dict,
) -> None:
    reason = "agreement not signed"
    assert probe["answers"] == [
        ["q_abc", "approve", "Grace Hopper", reason],
        ["q_abc", "refuse", "Grace Hopper", reason],
        ["q_abc", "later", "", ""],  # nobody answered within a day
    ]


def test_every_step_waits_for_the_one_writer(probe: dict) -> None:
    assert probe["pools"] == ["warehouse"]


def test_loading_the_dags_imports_no_engine(probe: dict) -> None:
    assert probe["heavy"] == []


def test_a_task_may_return_counts_and_opaque_ids_only(probe: dict) -> None:
    assert probe["safe"] == [True, False, False]


def test_a_failing_task_tells_airflow_no_value(probe: dict) -> None:
    """Airflow keeps what a task raised, in its log: text, lines and perhaps locals."""
    assert "Kestrel" in probe["unguarded"][1], "the control switched off"
    kind, said = probe["guarded"]
    assert kind == "AirflowException" and "unexpected ValueError" in said
    assert "Kestrel" not in said


def test_dag_files_only_wire() -> None:
    files = [
        ROOT / "dags" / f"{name}.py"
        for name in (
            "ingest_exports",
            "build_marts",
            "release_extracts",
            "housekeeping",
            "watch_morning",
        )
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
