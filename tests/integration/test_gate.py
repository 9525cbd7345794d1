"""Every expectation fails on its own planted fault, alone, at its severity."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Home
from lib.faults import FAULTS
from lib.good_night import lay_good_night
from lib.history_faults import HISTORY_FAULTS, N_PUBLISHED, NIGHTS, Sources, batch
from rapport.settings import load_settings
from rapport.validate import Check, Gate, decide, load_suites
from rapport.validate.gate import engine_limits

ON = load_suites(ROOT)
CHECKS = {check.id: check for check in ON}
OF_HISTORY = [check.id for check in ON if check.layer == "history"]
OF_DATA = [check.id for check in ON if check.layer != "history"]


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    with Gate(ROOT) as process:
        yield process


@pytest.fixture(scope="session")
def built(new_home: Callable[[str], Home]) -> Home:
    home = new_home("built")
    home.lay_key()
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


@pytest.fixture(scope="session")
def sound_night(
    sources: Sources, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Sources]:
    """Return a maker of a night after so many published ones, which breaks nothing yet."""

    @cache
    def laid(n_published: int) -> Sources:
        folder = tmp_path_factory.mktemp("sound")
        night = Sources.copied(sources, folder / "home")
        if n_published:
            night.publish(n_published)
            night.forget_nights(after=n_published)
            # A copy is judged: what was measured once is not measured again.
            judged = Sources.copied(night, folder / "judged")
            judged.judge()
            assert failing_history(judged) == set()
        return night

    return laid


def failing(path: Path, database: str, changed: set[str]) -> set[str]:
    """Return the checks that read a changed table and whose rows are broken."""
    with duckdb.connect(path, read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        return {
            check.id
            for check in ON
            if check.database == database
            and any(table in check.broken_rows for table in changed)
            and con.execute(check.broken_rows).fetchone() != (0,)
        }


def judged(gate: Gate, check: Check, path: Path) -> dict[str, Any]:
    """Let Great Expectations judge a database by one check."""
    (verdict,) = gate.judge({check.database: path}, [check.id])
    return verdict


def test_a_good_night_breaks_no_expectation(gate: Gate, good: dict[str, Path]) -> None:
    verdicts = gate.judge(good)
    assert {v["check_name"] for v in verdicts} == {check.id for check in ON}
    assert [v["check_name"] for v in verdicts if v["status"] != "pass"] == []


def test_every_expectation_has_a_planted_fault() -> None:
    """So an expectation that is taken out, or comes without a fault, is seen."""
    assert {*FAULTS, *HISTORY_FAULTS} == set(CHECKS)
    assert len(OF_DATA) > 100 and len(OF_HISTORY) > 15


@pytest.mark.parametrize("name", OF_DATA)
def test_the_planted_fault_fails_its_expectation_alone(
    gate: Gate, good: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Great Expectations judges; that no other check is broken, their counts say."""
    check, said = CHECKS[name], FAULTS[name]
    statements = [said] if isinstance(said, str) else said
    broken = Path(shutil.copy(good[check.database], tmp_path / "broken.duckdb"))
    with duckdb.connect(broken) as con:
        for sql in statements:
            con.execute(sql)
    changed = {table for sql in statements for table in _CHANGED.findall(sql)[:1]}
    assert failing(broken, check.database, changed) == {name}
    verdict = judged(gate, check, broken)
    assert verdict["status"] == "fail"
    assert verdict["observed"] >= 1
    others = [{"check_name": c.id, "status": "pass"} for c in ON if c is not check]
    result = decide(ON, [*others, verdict], [])
    assert result.refused == (check.severity == "critical")
    assert [(c.check_name, c.severity) for c in result.checks if not c.passed] == [
        (name, check.severity)
    ]


_CHANGED = re.compile(r"(?:update|insert into|delete from|alter table) (\w+\.\w+)")


@pytest.mark.parametrize("name", OF_HISTORY)
def test_a_faulty_delivery_fails_its_expectation_alone(
    gate: Gate, sound_night: Callable[[int], Sources], tmp_path: Path, name: str
) -> None:
    check, n_published = CHECKS[name], N_PUBLISHED.get(name, NIGHTS)
    night = Sources.copied(sound_night(n_published), tmp_path / "home")
    night.change(*HISTORY_FAULTS[name])
    night.judge()
    assert failing_history(night) == {name}
    verdict = judged(gate, check, night.work)
    assert (verdict["status"], verdict["severity"]) == ("fail", check.severity)
    assert {finding[0] for finding in verdict["findings"]} <= {"north", "south"}
    assert len(verdict["findings"]) == min(20, verdict["observed"]) >= 1


def failing_history(night: Sources) -> set[str]:
    with duckdb.connect(night.work, read_only=True) as con:
        return {
            check.id
            for check in ON
            if check.layer == "history"
            and con.execute(check.broken_rows).fetchone() != (0,)
        }


def night_of(sources: Sources, home: Path) -> Sources:
    """Return the published nights and the one that is judged."""
    night = Sources.copied(sources, home)
    night.publish(NIGHTS)
    return night


def test_a_full_export_takes_the_place_of_a_short_one(
    sources: Sources, tmp_path: Path
) -> None:
    """The delivery that holds all its rows is judged in its place."""
    night = night_of(sources, tmp_path / "home")
    tonight, again = batch("north", NIGHTS), batch("north", NIGHTS + 1)
    copy = (
        f"insert into bronze.sessions select * replace ('{again}' as batch_id)"
        f" from bronze.sessions where batch_id = '{tonight}'"
    )
    night.deliver_again("north", {"sessions": "delta"})
    night.change(copy, f"delete from bronze.sessions where batch_id = '{tonight}'"
                       " and row_no >= 15")  # fmt: skip
    night.judge()
    assert failing_history(night) == set()


def test_a_header_alone_gives_way_only_once_it_was_told(
    sources: Sources, tmp_path: Path
) -> None:
    """Two nights caught up at once: the empty one must not slip through."""
    night = night_of(sources, tmp_path / "home")
    tonight, again = batch("north", NIGHTS), batch("north", NIGHTS + 1)
    night.deliver_again("north", {"sessions": "delta"})
    night.change(
        f"insert into bronze.sessions select * replace ('{again}' as batch_id,"
        " 'z' || session_key as session_key) from bronze.sessions"
        f" where batch_id = '{tonight}'",
        f"delete from bronze.sessions where batch_id = '{tonight}'",
    )
    night.judge()
    assert failing_history(night) == {"header_alone"}
    night.refuse()
    night.judge()
    assert failing_history(night) == set()


def test_two_sources_learn_apart(sources: Sources, tmp_path: Path) -> None:
    """A source without a night of its own borrows no limit from another."""
    night = night_of(sources, tmp_path / "home")
    night.change(
        "update control.delivery_order set source = 'newcomer'"
        f" where batch_id = '{batch('north', NIGHTS)}'",
        "update control.delivery_table set source = 'newcomer'"
        f" where batch_id = '{batch('north', NIGHTS)}'",
        "update bronze.sessions set source = 'newcomer'"
        f" where batch_id = '{batch('north', NIGHTS)}'",
        f"delete from bronze.sessions where batch_id = '{batch('north', NIGHTS)}'"
        " and row_no > 6",
    )
    night.judge()
    assert failing_history(night) == {"sources_have_a_history"}


def test_only_counts_and_shares_are_kept(sources: Sources, tmp_path: Path) -> None:
    night = night_of(sources, tmp_path / "home")
    night.judge()
    kept = night.state.metrics()
    assert len(kept) > 500
    names = {metric.split(":")[0] for _, _, metric, *_ in kept}
    assert names <= {
        "rows", "repeated", "vanished", "filled", "code", "known_clients", "seen_ids",
        "older", "backwards", "in_range", "upper_half",
    }  # fmt: skip


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


def test_an_error_takes_no_other_check_of_its_table_with_it(
    gate: Gate, good: dict[str, Path], tmp_path: Path
) -> None:
    """The checks of a table are counted in one scan; each keeps a verdict of its own.

    One condition names a column that is gone and one casts a text that is no number, so the
    scan can't run; a third is broken, and the rest hold.
    """
    broken = shutil.copy(good["candidate"], tmp_path / "broken.duckdb")
    table = "alliance.fct_rupture"
    with duckdb.connect(broken) as con:
        con.execute(f"alter table {table} drop column shape")
        con.execute(f"alter table {table} alter drop_ratio type varchar")
        con.execute(f"update {table} set drop_ratio = 'Zzyzx Canary'")
        con.execute(f"update {table} set first_seen_at = timestamp '1950-01-01'")
    verdicts = gate.judge({"candidate": broken})
    of_table = [v for v in verdicts if v["table_name"] == table]
    by_status = {
        status: {v["check_name"] for v in of_table if v["status"] == status}
        for status in ("error", "fail", "pass")
    }
    assert by_status["error"] == {"rupture_shape_agrees", "rupture_drop_adds_up"}
    assert by_status["fail"] == {"rupture_first_seen_after_onset"}
    assert len(by_status["pass"]) == sum(c.table == table for c in ON) - 3 > 5
    assert "Zzyzx" not in json.dumps(verdicts)


def test_no_check_holds_every_row_against_every_row(good: dict[str, Path]) -> None:
    """Such a plan is harmless on a sample, and takes hours on ten million items."""
    squared = []
    for database, path in good.items():
        with duckdb.connect(path, read_only=True) as con:
            con.execute("set timezone = 'UTC'")
            squared += [
                check.id
                for check in ON
                if check.database == database
                for _, plan in con.execute(f"explain {check.broken_rows}").fetchall()
                if "BLOCKWISE_NL_JOIN" in plan
            ]
    assert squared == []


def test_the_engine_keeps_to_the_limits_of_the_settings(
    gate: Gate, good: dict[str, Path], built: Home
) -> None:
    """What can't be had within them is an error, never a pass."""
    limits = engine_limits(load_settings({"RAPPORT_HOME": str(built.path)}))
    assert limits["memory_limit"] == "1500MB"
    assert limits["temp_directory"] == str(built.path / "warehouse" / "tmp")
    asked, names = {"candidate": good["candidate"]}, ["score_session_agrees"]
    (kept,) = gate.judge(asked, names, limits)
    assert kept["status"] == "pass"
    starved = limits | {"memory_limit": "4MB", "temp_directory": ""}
    (verdict,) = gate.judge(asked, names, starved)
    assert verdict["status"] == "error"


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
                " and schema_name in ('core', 'alliance', 'outcomes', 'qi', 'bronze')"
            ).fetchall()
            assert len(columns) > 20
            for number, (table, column) in enumerate(columns):
                con.execute(
                    f"update {table} set {column} = 'Zzyzx{number}' where rowid % 3 = 0"
                )
        verdicts = gate.judge({database: broken})
        assert sum(v["status"] != "pass" for v in verdicts) > 20
        assert "Zzyzx" not in json.dumps(verdicts)
