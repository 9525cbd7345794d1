"""Run the two nightly DAGs once, in Airflow's own task runner, and say how it went.

Not a DAG: ``make night`` starts it (see ``rapport.airflow_night``), with the path of the
JSON document that takes the exit code of the interface.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.models.pool import Pool

from rapport.night import loaded_ahead, standing_run
from rapport.settings import load_settings


def run() -> dict[str, object]:
    """Run ingest_exports, then build_marts; stop at the first that fails."""
    Pool.create_or_update_pool(
        "warehouse", slots=1, description="one writer", include_deferred=True
    )
    folder = Path(__file__).parent
    bag = DagBag(dag_folder=str(folder), bundle_name="dags-folder")
    if bag.import_errors:
        return {"exit_code": 1, "reason": "dags_do_not_load"}
    settings = load_settings()
    has_news = standing_run(settings) is None
    with loaded_ahead(settings) if has_news else nullcontext():
        for name in ("ingest_exports", "build_marts"):
            # A deadline is the live system's: a test run can't look its alert up.
            bag.dags[name].deadline = None
            state = str(bag.dags[name].test().state)
            if state != "success":
                import tasks

                said = tasks.LAST_FAILURE or {"exit_code": 1, "reason": "task_failed"}
                return {"dag": name, **said}
    return {"exit_code": 0}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(run()), encoding="utf-8")
