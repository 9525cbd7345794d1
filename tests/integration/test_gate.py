"""Every expectation fails on its own planted fault, alone, at its severity."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Home
from lib.faults import FAULTS
from lib.good_night import lay_good_night
from lib.history_faults import HISTORY_FAULTS, N_PUBLISHED, NIGHTS, Sources
from rapport.validate import Check, Gate, decide, every_check

CHECKS = {check.id: check for check, _ in every_check(ROOT)}
ON = [check for check, is_on in every_check(ROOT) if is_on]
OF_HISTORY = [check.id for check in ON if check.layer == "history"]
OF_DATA = [check.id for check in ON if check.layer != "history"]


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    with Gate(ROOT) as process:
        yield process


@pytest.fixture(scope="session")
def built(new_home: Callable[[str], Home]) -> Home:
    home = new_home("built")
    shutil.copytree(ROOT / "data" / "sample" / "inbox", home.path / "inbox")
    home.run("ingest")
    home.run("build", "--as-of", "2026-06-30")
    return home


@pytest.fixture(scope="session")
def good(built: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return lay_good_night(built.path, tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    laid = Sources(tmp_path_factory.mktemp("sources") / "home")
    laid.lay(n_published=0)
    return laid


def failing(path: Path, database: str) -> set[str]:
    """Return the checks of a database whose rows are broken, by their count queries."""
    with duckdb.connect(path, read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        return {
            check.id
            for check in ON
            if check.database == database
            and con.execute(check.broken_rows).fetchone() != (0,)
        }


def of_table(gate: Gate, check: Check, path: Path) -> dict[str, dict[str, Any]]:
    """Let Great Expectations judge the table of a check."""
    verdicts = gate.judge({check.database: path}, [check.table])
    assert verdicts
    return {verdict["check_name"]: verdict for verdict in verdicts}


def test_a_good_night_breaks_no_expectation(gate: Gate, good: dict[str, Path]) -> None:
    verdicts = gate.judge(good)
    assert {v["check_name"] for v in verdicts} == {check.id for check in ON}
    assert [v["check_name"] for v in verdicts if v["status"] != "pass"] == []


def test_every_expectation_has_a_planted_fault() -> None:
    """Those of suites that are switched off too."""
    assert {*FAULTS, *HISTORY_FAULTS} == set(CHECKS)
    assert len(OF_DATA) > 100 and len(OF_HISTORY) > 15


@pytest.mark.parametrize("name", OF_DATA)
def test_the_planted_fault_fails_its_expectation_alone(
    gate: Gate, good: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """All counts are taken; Great Expectations judges the table that is broken."""
    check = CHECKS[name]
    broken = shutil.copy(good[check.database], tmp_path / "broken.duckdb")
    said = FAULTS[name]
    with duckdb.connect(broken) as con:
        for sql in [said] if isinstance(said, str) else said:
            con.execute(sql)
    assert failing(broken, check.database) == {name}
    verdicts = of_table(gate, check, broken)
    assert {n: v["status"] for n, v in verdicts.items() if v["status"] != "pass"} == {
        name: "fail"
    }
    assert verdicts[name]["severity"] == check.severity
    assert verdicts[name]["observed"] >= 1
    refused = decide(ON, [*verdicts.values(), *_passes(verdicts)], []).refused
    assert refused == (check.severity == "critical")


def _passes(known: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"check_name": check.id, "status": "pass"} for check in ON if check.id not in known
    ]


@pytest.mark.parametrize("name", OF_HISTORY)
def test_a_faulty_delivery_fails_its_expectation_alone(
    gate: Gate, sources: Sources, tmp_path: Path, name: str
) -> None:
    """The same night without the fault breaks none."""
    check, n_published = CHECKS[name], N_PUBLISHED.get(name, NIGHTS)
    night = Sources.copied(sources, tmp_path / "home")
    if n_published:
        night.publish(n_published)
        night.forget_nights(after=n_published)
        night.judge()
        assert failing_history(night) == set()
        night = Sources.copied(sources, tmp_path / "faulty")
        night.publish(n_published)
        night.forget_nights(after=n_published)
    night.change(*HISTORY_FAULTS[name])
    night.judge()
    assert failing_history(night) == {name}
    verdicts = of_table(gate, check, night.work)
    assert {n for n, v in verdicts.items() if v["status"] != "pass"} == {name}
    assert verdicts[name]["status"] == "fail"
    assert verdicts[name]["severity"] == check.severity
    assert {finding[0] for finding in verdicts[name]["findings"]} <= {"north", "south"}


def failing_history(night: Sources) -> set[str]:
    with duckdb.connect(night.work, read_only=True) as con:
        return {
            check.id
            for check in ON
            if check.layer == "history"
            and con.execute(check.broken_rows).fetchone() != (0,)
        }


def test_a_check_that_errors_is_no_pass_and_keeps_no_words(
    gate: Gate, good: dict[str, Path], tmp_path: Path
) -> None:
    """A column is gone, and another holds a value that no cast can read."""
    broken = shutil.copy(good["candidate"], tmp_path / "broken.duckdb")
    with duckdb.connect(broken) as con:
        con.execute("alter table core.fct_episode drop column n_missed")
        con.execute("drop table alliance.rupture_cohort")
        con.execute("alter table core.dim_client alter birth_year type varchar")
        con.execute("update core.dim_client set birth_year = 'Zzyzx Canary'")
    verdicts = gate.judge({"candidate": broken})
    status = {v["check_name"]: v["status"] for v in verdicts}
    assert status["episode_misses_at_most_its_sessions"] == "error"
    assert status["rupture_cohort_one_row_a_key"] == "error"
    assert status["client_birth_year_plausible"] == "error"
    assert "Zzyzx" not in json.dumps(verdicts)
    assert decide(ON, verdicts, []).refused


def test_canaries_in_failing_rows_appear_in_no_result(
    gate: Gate, good: dict[str, Path], tmp_path: Path
) -> None:
    """Each text column of the candidate and of bronze holds one, so that most checks fail."""
    for database in ("candidate", "work"):
        broken = Path(shutil.copy(good[database], tmp_path / f"{database}.duckdb"))
        with duckdb.connect(broken) as con:
            columns = con.execute(
                "select schema_name || '.' || table_name, column_name"
                " from duckdb_columns() where data_type = 'VARCHAR' and not internal"
                " and schema_name in ('core', 'alliance', 'outcomes', 'bronze')"
            ).fetchall()
            assert len(columns) > 20
            for number, (table, column) in enumerate(columns):
                con.execute(
                    f"update {table} set {column} = 'Zzyzx{number}' where rowid % 3 = 0"
                )
        verdicts = gate.judge({database: broken})
        assert sum(v["status"] != "pass" for v in verdicts) > 20
        assert "Zzyzx" not in json.dumps(verdicts)


def test_suites_that_are_off_wait_for_a_model() -> None:
    """When a model is there, its suite must be switched on."""
    models = {path.stem for path in (ROOT / "dbt_project" / "models").rglob("*.sql")}
    waiting = {
        check.table.split(".")[1] for check, is_on in every_check(ROOT) if not is_on
    }
    assert waiting & models == set()
