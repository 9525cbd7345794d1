"""The models' own tests, run on the warehouse that the chapters share.

A night builds without them: they guard the code (ADR 6).
"""

import json
import subprocess
import sys

import pytest

from conftest import ROOT
from rapport.settings import load_settings
from rapport.warehouse.build import dbt_environment
from spec.conftest import Night

PROJECT = ROOT / "dbt_project"
MARTS = sorted(path.stem for path in (PROJECT / "models" / "marts").rglob("*.sql"))


@pytest.fixture(scope="module")
def results(night: Night, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Run every test of the dbt project once: unit tests, grains, links."""
    target = tmp_path_factory.mktemp("dbt")
    night.con.close()
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-level-file",
         "none", "test", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)],
        env=dbt_environment(load_settings({"RAPPORT_HOME": str(night.home.path)})),
        cwd=target, capture_output=True, text=True, check=False,
    )  # fmt: skip
    night.reopen()
    path = target / "run_results.json"
    assert path.exists(), done.stdout + done.stderr
    return json.loads(path.read_text("utf-8"))["results"]


def test_every_test_of_the_models_passes(results: list[dict]) -> None:
    kinds = {r["unique_id"].split(".")[0] for r in results}
    assert kinds == {"test", "unit_test"}
    assert [r["unique_id"] for r in results if r["status"] != "pass"] == []


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_has_a_unit_test(results: list[dict], mart: str) -> None:
    unit_tests = [r["unique_id"] for r in results if r["unique_id"][:5] == "unit_"]
    models = {name.split(".")[2] for name in unit_tests}
    assert mart in models
