"""Prove Airflow's approval page: the real servers, two named people, two requests.

    python tests/chaos/prove_approval.py [FOLDER]

Ada Byron asked for both extracts and answers the first page herself: her approval must not
count. Grace Hopper answers the second: the extract is released, and the ledger names her.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.airflow_servers import airflow_server, server_environment
from lib.extract_home import lay_home, spec
from lib.live import free_port
from rapport.extracts.ledger import standings
from rapport.live import migrate
from rapport.settings import Settings

DAG = "release_extracts"
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Lay a home with two requests, run Airflow on it, answer as two people."""
    given = sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp(prefix="approval_")
    home = Path(given) / "home"
    settings = lay_home(home)
    asked = home / "extracts" / "requests"
    asked.mkdir(parents=True)
    (asked / "a.toml").write_text(spec(study='"first-study"'))
    (asked / "b.toml").write_text(spec(study='"second-study"'))
    (home / "logs").mkdir(exist_ok=True)
    environment = server_environment(settings, free_port()) | {
        # The other pipelines rest; the tasks import the code beside this file.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "PYTHONPATH": f"{ROOT / 'dags'}{os.pathsep}{ROOT / 'src'}",
    }
    log = home / "logs" / "airflow.log"
    migrate(environment, log)
    began = time.monotonic()
    with airflow_server(environment, log) as own:
        print(f"healthy after {time.monotonic() - began:.0f} s")
        passwords = json.loads(
            Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
            .read_text("utf-8")
        )  # fmt: skip
        ada = _login(own, "Ada Byron", passwords["Ada Byron"])
        grace = _login(own, "Grace Hopper", passwords["Grace Hopper"])
        _until(lambda: _unpaused(own, ada), 120, "the DAG is known", 1)
        pages = _until(lambda: _pages(own, ada), 240, "two pages wait", 2)
        print(f"two pages wait after {time.monotonic() - began:.0f} s")
        for page in pages:
            print(page["subject"])
        print(pages[0]["body"])
        _answer(own, ada, pages[0], "Approve")
        _answer(own, grace, pages[1], "Approve")
        run = pages[0]["task_instance"]["dag_run_id"]
        state = _until(lambda: _ended(own, ada, run), 240, "the run ends", 1)
    _judge(settings, str(state[0]))
    print(f"approved by name and refused for one's own: {home}")


def _judge(settings: Settings, run_state: str) -> None:
    known = list(standings(settings.home).values())
    assert sorted(s.state for s in known) == ["built", "released"], known
    released = next(s for s in known if s.state == "released")
    approval = released.last("approved")
    assert approval is not None
    assert approval["actor"] == "Grace Hopper"
    own = next(s for s in known if s.state == "built")
    assert own.last("approved") is None
    assert run_state == "failed"  # one answer did not count, and Airflow shows it


def _ask(
    own: str, path: str, token: str = "", method: str = "GET", body: Any = None
) -> Any:
    asked = urllib.request.Request(
        own + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"}
        | ({"Authorization": f"Bearer {token}"} if token else {}),
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def _login(own: str, name: str, password: str) -> str:
    said = {"username": name, "password": password}
    token: str = _ask(own, "/auth/token", method="POST", body=said)["access_token"]
    return token


def _pages(own: str, token: str) -> list[dict[str, Any]]:
    found = _ask(
        own, f"/api/v2/dags/{DAG}/dagRuns/~/hitlDetails?response_received=false", token
    )
    # An answer that comes before the task has begun to wait would end it.
    pages: list[dict[str, Any]] = [
        page
        for page in found["hitl_details"]
        if page["task_instance"]["state"] == "awaiting_input"
    ]
    return sorted(pages, key=lambda page: page["task_instance"]["map_index"])


def _unpaused(own: str, token: str) -> list[dict[str, Any]]:
    said = {"is_paused": False}
    return [_ask(own, f"/api/v2/dags/{DAG}", token, "PATCH", said)]


def _answer(own: str, token: str, page: dict[str, Any], option: str) -> None:
    task = page["task_instance"]
    path = (
        f"/api/v2/dags/{DAG}/dagRuns/{urllib.parse.quote(task['dag_run_id'])}"
        f"/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
    )
    said = {
        "chosen_options": [option],
        "params_input": {"reason_to_refuse": "told_to_the_requester"},
    }
    answer = _ask(own, path, token, "PATCH", said)
    print(f"answered: {option}, by {answer['responded_by']['name']}")


def _ended(own: str, token: str, run: str) -> list[str]:
    found = _ask(own, f"/api/v2/dags/{DAG}/dagRuns/{urllib.parse.quote(run)}", token)
    return [found["state"]] if found["state"] in ("success", "failed") else []


def _until(
    found: Callable[[], list[Any]], within_s: float, what: str, n: int
) -> list[Any]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            said = found()
        except urllib.error.URLError:
            said = []
        if len(said) >= n:
            return said
        time.sleep(1)
    raise SystemExit(f"not proved within {within_s:.0f} s: {what}")


if __name__ == "__main__":
    main()
