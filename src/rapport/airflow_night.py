"""``make night``: lay the sample clinic, run the DAGs for real, show them as they run.

It imports no Airflow: the DAGs run in a process of their own, and the table of tasks is
read from Airflow's own SQLite metadata while they do.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rapport import observe
from rapport.errors import ExitCode
from rapport.files import private_folder
from rapport.live import airflow_environment, migrate
from rapport.settings import PROJECT_ROOT, Settings, load_settings

SAMPLE_CLIENTS, SAMPLE_SEED = 320, 7


def lay_sample(settings: Settings) -> None:
    """Lay the sample clinic's exports into an inbox that has none, with its settings."""
    inbox = settings.home / "inbox"
    if inbox.exists() and any(inbox.iterdir()):
        return
    from rapport.synthetic import generate
    from rapport.synthetic.clinic import PROCESS_CHANGE

    until = date.today() - timedelta(days=1)
    with observe.step("generate", f"make a sample clinic of {SAMPLE_CLIENTS} clients"):
        generate(SAMPLE_CLIENTS, SAMPLE_SEED, settings.home, until)
    toml = settings.home / "rapport.toml"
    if not toml.exists():
        month = (until - timedelta(days=300)).strftime("%Y-%m")
        toml.write_text(PROCESS_CHANGE.format(month=month), encoding="utf-8")


def run_dags(environment: dict[str, str], log: Path) -> dict[str, Any]:
    """Run both DAGs once; return what the runner said."""
    before = _last_task(environment)
    answer = Path(environment["AIRFLOW_HOME"]) / "result.json"
    answer.unlink(missing_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT_ROOT / "dags" / "run_once.py"), str(answer)],
            env=environment,
            stdout=out,
            stderr=out,
        )
        shown: dict[str, str] = {}
        observe.say("  DAG             task                  state      seconds")
        while process.poll() is None:
            _show_new(environment, before, shown)
            time.sleep(0.2)
    _show_new(environment, before, shown, is_over=True)
    if not answer.exists():
        return {"exit_code": 1, "reason": "airflow_stopped"}
    result: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    return result


def _query(environment: dict[str, str], sql: str, *arguments: object) -> list[Any]:
    path = Path(environment["AIRFLOW_HOME"]) / "airflow.db"
    if not path.exists():
        return []
    try:
        with closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        ) as con:
            return con.execute(sql, arguments).fetchall()
    except sqlite3.OperationalError:
        return []


def _last_task(environment: dict[str, str]) -> str:
    rows = _query(environment, "select max(start_date) from dag_run")
    return str(rows[0][0]) if rows and rows[0][0] else ""


def _show_new(
    environment: dict[str, str],
    since: str,
    shown: dict[str, str],
    *,
    is_over: bool = False,
) -> None:
    """Print one line for each task when all of its parts have ended."""
    rows = _query(
        environment,
        "select ti.dag_id, ti.task_id, count(*), sum(ti.state = 'success'),"
        " sum(ti.state in ('failed', 'upstream_failed')),"
        " sum(julianday(ti.end_date) - julianday(ti.start_date)) * 86400"
        " from task_instance as ti join dag_run as run on ti.run_id = run.run_id"
        " and ti.dag_id = run.dag_id where coalesce(run.start_date, '9') > ?"
        " group by 1, 2 having sum(ti.end_date is null) = 0 or ?"
        " order by max(ti.end_date)",
        since,
        is_over,
    )
    for dag, task, n, n_good, n_bad, seconds in rows:
        key = f"{dag}.{task}"
        state = "failed" if n_bad else "success" if n_good else "skipped"
        if shown.get(key) == state:
            continue
        shown[key] = state
        count = f" ×{n}" if n > 1 else ""
        mark = {"success": "✓", "failed": "✗"}.get(state, "·")
        observe.say(
            f"{mark} {dag:<15} {task + count:<21} {state:<10} {seconds or 0.0:7.1f}"
        )


def main() -> None:
    """Run the night through Airflow and end with its summary and exit code."""
    from rapport.cli import main_guard
    from rapport.report import new_quarantine, print_summary, quarantine_lines
    from rapport.state import ControlState

    with main_guard():
        settings = load_settings()
        private_folder(settings.home)
        observe.log_to(settings.home / "logs")
        observe.say(f"rapport night, run by Airflow · {settings.home}")
        lay_sample(settings)
        before = new_quarantine(settings)
        environment = airflow_environment(settings)
        log = settings.home / "logs" / "airflow.log"
        migrate(environment, log)
        result = run_dags(environment, log)
        for line in quarantine_lines(settings, new_quarantine(settings) - before):
            observe.say(line)
        if result["exit_code"] != ExitCode.DONE:
            observe.say(f"rapport: {result.get('message', 'Airflow did not finish')}")
            observe.say(f"  reason {result.get('reason')}; Airflow's own words: {log}")
            if result.get("next_step"):
                observe.say(f"  Next: {result['next_step']}")
            sys.exit(int(result["exit_code"]))
        print_summary(settings, ControlState(settings.home).runs()[-1].run_id)


if __name__ == "__main__":
    main()
