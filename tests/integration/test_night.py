"""Whole nights on the tracked sample: repeated, shuffled, refused, asked."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT, Home, table
from lib.full_disk import in_namespace
from lib.laid_snapshots import FROM_SEEDS, Laid, contracts, lay_snapshot
from lib.snapshots import published
from rapport import night
from rapport.ask import examples
from rapport.errors import BuildFailed
from rapport.privacy.keys import REBUILD
from rapport.settings import load_settings
from rapport.state import ControlState
from rapport.warehouse import build, open_published
from rapport.warehouse.connections import open_database, published_path, work_path
from rapport.warehouse.publish import candidate_mark

AS_OF = "2026-06-30"
SAMPLE = ROOT / "data" / "sample"


@pytest.fixture(scope="module")
def sample(new_home: Callable[[str], Home]) -> Home:
    home = new_home("sample")
    shutil.copytree(SAMPLE / "inbox", home.path / "inbox")
    home.run("night", "--as-of", AS_OF)
    return home


def test_every_table_of_the_way_is_published(sample: Home) -> None:
    tables = {t for t in published(sample.path) if not t.startswith("ops.")}
    assert tables == {
        "core.dim_client", "core.dim_therapist", "core.dim_clinic", "core.dim_instrument",
        "core.fct_session", "core.fct_episode", "core.fct_diagnosis",
        "core.fct_measure_score", "alliance.fct_alliance_session", "alliance.fct_rupture",
        "alliance.rupture_cohort", "alliance.trajectory_by_session",
        "alliance.fct_therapist_marker", "alliance.fct_strengthening",
        "alliance.fct_congruence", "alliance.fct_goal_overlap",
        "alliance.dim_rupture_method", "outcomes.fct_episode_outcome",
        "outcomes.fct_stall", "outcomes.fct_care_signal", "outcomes.dim_care_signal",
        "qi.alliance_monthly", "qi.completion_monthly", "qi.rupture_repair_monthly",
        "qi.early_alliance", "qi.stall_by_component", "qi.outcome_monthly", "qi.endings",
        "qi.clinic_funnel", "qi.equity", "qi.method_comparison",
        "qi.strengthening_after_rupture", "qi.spc_series", "qi.spc_point",
    }  # fmt: skip
    asked = sample.run("sql", "--format", "json", "select pattern, count(*) as n from"
                       " alliance.rupture_cohort group by 1")  # fmt: skip
    assert sum(row["n"] for row in json.loads(asked.stdout)) > 30
    ledger = sample.run("sql", "--format", "csv", "select count(*) from ops.row_ledger where"
                        " rows_in <> rows_loaded + rows_quarantined + rows_filtered"
                        " + rows_footer + rows_blank")  # fmt: skip
    assert ledger.stdout.splitlines()[1] == "0"


def test_every_example_question_has_an_answer(sample: Home) -> None:
    questions = examples()
    assert len(questions) == 10
    settings = load_settings({"RAPPORT_HOME": str(sample.path)})
    with open_published(settings) as con:
        for title, query in questions:
            rows = con.execute(query).fetchall()
            # Nothing may lie outside; all else has an answer.
            assert rows or "outside" in title or "exclude" in title or "signal" in title


def test_no_quality_table_names_a_therapist(sample: Home) -> None:
    columns = sample.run("sql", "--format", "csv", "select column_name from duckdb_columns()"
                         " where schema_name = 'qi'").stdout  # fmt: skip
    assert "clinic_key" in columns
    assert "therapist" not in columns


def test_a_night_without_news_builds_and_judges_nothing(sample: Home) -> None:
    """The pages and the digest are written; the snapshot and its run are last night's."""
    snapshot = sample.path / "published" / "rapport.duckdb"
    log = sample.path / "logs" / "rapport.jsonl"
    before, n_lines = snapshot.read_bytes(), len(log.read_text().splitlines())
    index = (sample.path / "dashboard" / "index.html").stat().st_mtime_ns
    said = sample.run("night", "--as-of", AS_OF).stderr
    assert "nothing new since the last night: its snapshot stands" in said
    lines = [json.loads(line) for line in log.read_text().splitlines()[n_lines:]]
    assert [e["step"] for e in lines if e["event"] == "step"] == ["dashboard", "digest"]
    assert snapshot.read_bytes() == before
    assert (sample.path / "dashboard" / "index.html").stat().st_mtime_ns > index


def test_a_copy_of_the_control_state_that_a_kill_cut_off_is_made_by_the_next_night(
    sample: Home,
) -> None:
    """Also by one without news, which publishes nothing."""
    copies = sample.path / "state" / "backup"
    (copy,) = copies.glob("*.sqlite")
    copy.rename(copy.with_name(f"{copy.name}.building"))
    sample.run("night", "--as-of", AS_OF)
    assert list(copies.glob("*.building")) == []
    assert copy.exists()


def test_whatever_a_number_or_a_check_hangs_on_is_news(
    sample: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"RAPPORT_HOME": str(sample.path)})
    day = date.fromisoformat(AS_OF)
    run_id = night.standing_run(settings, day)
    assert run_id is not None and night.start_night(settings, day) == run_id
    for step in (night.build, night.validate, night.publish):
        assert step(settings, run_id) == {"outcome": "stands"}
    assert night.standing_run(settings, day + timedelta(days=1)) is None
    other = {"RAPPORT_HOME": str(sample.path), "RAPPORT_SIGNALS__SILENT_DAYS": "29"}
    assert night.standing_run(load_settings(other), day) is None
    with monkeypatch.context() as patch:
        patch.setattr(ControlState, "waived", lambda _: {(run_id, "any"): day})
        assert night.standing_run(settings, day) is None
    with monkeypatch.context() as patch:
        patch.setattr(build, "digest_of_folder", lambda _: "other expectations")
        assert night.standing_run(settings, day) is None
    waits = sample.path / "inbox" / "canonical" / "waits"
    waits.mkdir()
    (waits / "clients.csv").write_text("client_id\nnew\n")
    (waits / "_SUCCESS").touch()
    assert night.standing_run(settings, day) is None
    shutil.rmtree(waits)
    assert night.standing_run(settings, day) == run_id


def test_a_snapshot_under_the_old_key_stands_until_the_new_one_is_whole(
    tmp_path: Path,
) -> None:
    settings = lay_snapshot(tmp_path, Laid(date.fromisoformat(AS_OF)))
    snapshot, marker = published_path(settings), tmp_path / "vault" / REBUILD
    night.open_keys(settings)
    marker.touch()  # a rotation has keyed all but the snapshot
    run_id = night.start_run(settings, date.fromisoformat(AS_OF))
    mark = candidate_mark(settings)
    ControlState(tmp_path).set_run(run_id, "validated", candidate_mark=mark)
    before = snapshot.read_bytes()
    in_the_way = snapshot.with_name("rapport.duckdb.building")
    in_the_way.mkdir()
    with pytest.raises(OSError, match="building"):
        night.publish(settings, run_id)
    assert snapshot.read_bytes() == before and marker.exists()
    in_the_way.rmdir()
    night.publish(settings, run_id)
    assert snapshot.read_bytes() != before and not marker.exists()
    assert not (snapshot.parent / "history").exists(), "the old key's snapshot is kept"


def test_a_night_writes_nothing_into_the_installation(home: Home) -> None:
    """It may be another account's, or read-only, as deploy/ has it."""
    home.deliver("d1", {"clients.csv": "client_id\nP1\n"})
    read_only = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'
    done = subprocess.run(
        [*in_namespace(), "sh", "-ec", read_only, ROOT,
         Path(sys.executable).with_name("rapport"), "night", "--as-of", AS_OF],
        env={**os.environ, "RAPPORT_HOME": str(home.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (home.path / "published" / "rapport.duckdb").exists()


def test_a_model_that_fails_is_named_without_the_engines_words(home: Home) -> None:
    """They may quote data; what follows from it was not built and is not named."""
    home.deliver("d1", {"clients.csv": "client_id\nP1\n"})
    settings = load_settings({"RAPPORT_HOME": str(home.path)})
    night.ingest(settings)
    build.prepare_candidate(settings, ControlState(home.path), None)
    with open_database(work_path(settings)):
        pass  # no deliveries were laid in it
    with pytest.raises(BuildFailed) as failed:
        build._run_dbt(settings, None, ["build", "--select", "int_qi__window+1"])
    assert str(failed.value).endswith("did not complete: int_qi__window")
    assert "control" not in f"{failed.value} {failed.value.next_step}"


def test_a_night_built_anew_publishes_the_same(sample: Home) -> None:
    before = published(sample.path)
    sample.run("night", "--as-of", AS_OF, "--full-refresh")
    assert published(sample.path) == before


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_arrival_does_not_matter(
    sample: Home, new_home: Callable[[str], Home], seed: int
) -> None:
    """The deliveries come shuffled, in four groups with an ingest after each."""
    home = new_home("shuffled")
    shutil.copytree(sample.path / "vault" / "keys", home.path / "vault" / "keys")
    deliveries = sorted((SAMPLE / "inbox" / "canonical").iterdir())
    random.Random(seed).shuffle(deliveries)
    for group in range(4):
        for delivery in deliveries[group::4]:
            target = home.path / "inbox" / "canonical" / delivery.name
            shutil.copytree(delivery, target)
        if group < 3:
            home.run("ingest")
    home.run("night", "--as-of", AS_OF)
    assert published(home.path) == published(sample.path)


def test_the_detector_finds_what_was_planted(sample: Home) -> None:
    """Every method is held against the truth; the default one finds most of it."""
    found = json.loads(
        sample.run("demo", "check", str(SAMPLE / "truth"), "--json").stdout
    )
    methods = {row["method"]: row for row in found["methods"]}
    assert len(methods) == 12
    assert len(found["agreement"]) == 12 * 11 / 2
    default = methods["default_rc3"]
    assert default["n_planted"] > 5
    assert default["recall"] >= 0.6
    assert default["precision"] >= 0.5
    assert default["n_stable"] >= 3
    said = sample.run("demo", "check", str(SAMPLE / "truth")).stdout
    assert all(method in said for method in methods)


def test_a_refused_night_leaves_the_old_snapshot(sample: Home) -> None:
    """Sixty forms without a single answer: most forms can't be scored."""
    before = (sample.path / "published" / "rapport.duckdb").read_bytes()
    head = "administration_id | client_id | instrument | rater | administered_at"
    forms = [f"ZZ{n} | P000001 | WAI-SR | client | 2026-06-29" for n in range(9000)]
    sample.deliver("zz-empty-forms", {"measures.csv": table("\n".join([head, *forms]))})
    said = sample.run("night", "--as-of", AS_OF, check=3)
    assert "most_forms_are_valid" in said.stderr
    assert "still stands" in said.stderr
    assert "P000001" not in said.stderr
    assert (sample.path / "published" / "rapport.duckdb").read_bytes() == before
    assert "refused" in (sample.path / "dashboard" / "index.html").read_text()


def test_an_early_client_stays_held_until_its_parent_arrives(home: Home) -> None:
    sessions = table(
        "session_id | client_id | therapist_id | started_at | status\n"
        "S1 | A1 | T1 | 2026-01-05T10:00 | attended"
    )
    home.deliver("d1", {"sessions.csv": sessions})
    home.run("ingest")
    home.run("build", "--as-of", AS_OF)
    candidate = home.path / "warehouse" / "candidate.duckdb"

    def count(sql: str) -> int:
        with duckdb.connect(candidate, read_only=True) as con:
            return con.execute(sql).fetchone()[0]

    assert count("select count(*) from core.fct_session") == 0
    assert count("select n_rows from ops.data_finding where table_name = 'sessions'"
                 " and finding = 'held_until_client_arrives'") == 1  # fmt: skip
    home.deliver("d0", {"clients.csv": "client_id\nA1\n"})
    home.run("ingest")
    home.run("build", "--as-of", AS_OF)
    assert count("select count(*) from core.fct_session where session_number = 1") == 1


def test_no_published_file_holds_a_source_id(sample: Home) -> None:
    for name, rows in published(sample.path).items():
        assert "P000001" not in repr(rows), name
    for folder in ("dashboard", "digest", "logs"):
        for path in Path(sample.path / folder).rglob("*"):
            if path.is_file():
                assert b"P000001" not in path.read_bytes(), path.name


def test_facts_laid_by_hand_give_the_quality_tables_of_a_night(
    sample: Home, tmp_path: Path
) -> None:
    """The tests of the pages lay their snapshots without a night (ADR 33)."""
    of_night = published(sample.path)

    def fill(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(
            f"attach '{sample.path / 'published' / 'rapport.duckdb'}' as night (read_only)"
        )
        for name in contracts():
            schema, table_name = name.split(".")
            if schema not in {"qi", "ops"} and table_name not in FROM_SEEDS:
                con.execute(f"insert into {name} by name from night.{name}")
        con.execute("detach night")

    lay_snapshot(tmp_path, Laid(date.fromisoformat(AS_OF), fill))
    laid = published(tmp_path)
    of_quality = {name for name in of_night if name.startswith("qi.")}
    assert len(of_quality) == 13
    for name in of_quality:
        assert laid[name] == of_night[name], name


# What names a person, a visit, a form or a worker in an export.
_NAMING = {
    "client_id", "session_id", "therapist_id", "episode_id", "administration_id",
    "goal_id", "birth_date", "postal_code",
}  # fmt: skip


def test_no_page_shows_what_the_inbox_calls_anyone(sample: Home) -> None:
    """Pages hold no id, raw or keyed; the digest keys of clients and episodes alone."""
    named: dict[str, set[str]] = {column: set() for column in _NAMING}
    for path in (sample.path / "inbox").rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column in _NAMING & row.keys():
                    named[column].add(row[column] or "")
    assert all(len(values) > 3 for values in named.values())
    ids = set().union(*named.values()) - {""}
    keys: dict[str, set[str]] = {}
    with duckdb.connect(
        sample.path / "published" / "rapport.duckdb", read_only=True
    ) as con:
        for kind, table_name in [("client", "core.dim_client"),
                                 ("therapist", "core.dim_therapist"),
                                 ("episode", "core.fct_episode"),
                                 ("session", "core.fct_session")]:  # fmt: skip
            found = con.execute(f"select {kind}_key from {table_name}").fetchall()
            keys[kind] = {key for (key,) in found}
    pages = [*(sample.path / "dashboard").iterdir()]
    assert len(pages) == 13
    for path in pages:
        words = _words(path)
        assert not words & ids, path.name
        assert not words & set().union(*keys.values()), path.name
    digests = [*(sample.path / "digest").iterdir()]
    assert {path.suffix for path in digests} == {".json", ".html"}
    for path in digests:
        words = _words(path)
        assert not words & ids, path.name
        assert words & keys["client"] and words & keys["episode"], path.name
        assert not words & (keys["therapist"] | keys["session"]), path.name


def _words(path: Path) -> set[str]:
    """Return what stands between spaces and marks, whole and in the parts of a hyphen."""
    whole = set(re.findall(r"[A-Za-z0-9_-]+", path.read_text("utf-8")))
    return whole | {part for word in whole for part in word.split("-")}
