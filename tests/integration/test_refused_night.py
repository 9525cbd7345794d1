"""A data lead's morning after a refused night, as docs/runbooks/refused-night.md tells it."""

import json
import shutil
from collections.abc import Callable

import pytest

from conftest import ROOT, Home

SAMPLE = ROOT / "data" / "sample" / "inbox" / "canonical"
AS_OF = "2026-06-30"


@pytest.fixture(scope="module")
def home(new_home: Callable[[str], Home]) -> Home:
    """Every night of the sample but the last is published."""
    home = new_home("refused")
    for delivery in sorted(SAMPLE.iterdir())[:-2]:
        shutil.copytree(delivery, home.path / "inbox" / "canonical" / delivery.name)
    home.run("night", "--as-of", AS_OF)
    return home


def sessions_csv() -> str:
    return (SAMPLE / "2026-06-29" / "sessions.csv").read_text()


def header() -> str:
    return sessions_csv().splitlines()[0] + "\n"


def ask(home: Home, sql: str) -> list[dict]:
    return json.loads(home.run("sql", "--format", "json", sql).stdout)


def test_from_a_refused_night_to_a_fixed_one(home: Home) -> None:
    snapshot = home.path / "published" / "rapport.duckdb"
    heartbeat = home.path / "state" / "heartbeat.json"
    before, beat_before = snapshot.read_bytes(), heartbeat.read_text()

    # The export failed: a header alone.
    home.deliver("2026-06-29", {"sessions.csv": header()})
    said = home.run("night", "--as-of", AS_OF, check=3).stderr
    assert "header_alone" in said and "header alone" in said
    assert "source canonical, delivery b_" in said and " (received 20" in said
    assert "rapport validate --explain header_alone" in said
    assert snapshot.read_bytes() == before
    assert heartbeat.read_text() == beat_before
    for page in ("dashboard/index.html", f"digest/{AS_OF}.html"):
        assert "The gate refused the night" in (home.path / page).read_text(), page

    # The reason, in the morning.
    status = json.loads(home.run("status", "--json", check=4).stdout)
    (failed,) = [c for c in status["gate"]["failed"] if c["severity"] == "critical"]
    assert failed["check_name"] == "header_alone"
    assert "table sessions" in failed["where"][0]
    words = home.run("status", check=4).stdout
    assert failed["advice"] in words and "refused-night.md" in words
    explained = home.run("validate", "--explain", "header_alone").stdout
    assert "nothing is published" in explained and "fail, 1 row (night" in explained
    assert "--waive header_alone --reason" in explained

    # The cure: the export of that day, under a new delivery id.
    home.deliver("2026-06-29b", {"sessions.csv": sessions_csv()})
    home.run("night", "--as-of", AS_OF)
    assert snapshot.read_bytes() != before
    assert json.loads(heartbeat.read_text())["last_good_night"] == AS_OF
    assert "refused" not in (home.path / "dashboard" / "index.html").read_text()
    rows = ask(home, "select outcome, passed, severity, waived from ops.check_result"
                     " inner join ops.run using (run_id) where check_name ="
                     " 'header_alone' order by started_at")  # fmt: skip
    assert [(row["outcome"], row["passed"]) for row in rows] == [
        ("published", True), ("refused", False), ("published", True),
    ]  # fmt: skip
    assert {row["severity"] for row in rows} == {"critical"}


def test_a_waiver_publishes_with_a_visible_mark(home: Home) -> None:
    """Depends on nothing of the test before but that some night is published."""
    home.deliver("2026-07-01", {"sessions.csv": header()})
    home.run("night", "--as-of", AS_OF, check=3)
    waive = ("validate", "--waive", "header_alone", "--reason", "public holiday, closed",
             "--by", "M. Okafor", "--source", "canonical")  # fmt: skip
    assert "--until" in home.run(*waive, check=2).stderr
    assert (
        "max_waiver_days" in home.run(*waive, "--until", "2099-01-01", check=2).stderr
    )
    home.run(*waive, "--until", tomorrow())
    home.run("validate")
    for step in ("publish", "dashboard", "digest"):
        home.run(step)
    assert "is waived until" in (home.path / "dashboard" / "index.html").read_text()
    (row,) = ask(home, "select passed, waived from ops.check_result inner join ops.run"
                       " using (run_id) where check_name = 'header_alone'"
                       " order by started_at desc limit 1")  # fmt: skip
    assert row == {"passed": False, "waived": True}
    audit = (home.path / "vault" / "audit.jsonl").read_text()
    assert "waiver_added" in audit and "waiver_applied" in audit
    assert "M. Okafor" in audit and "public holiday" in audit
    assert (
        b"public holiday" not in (home.path / "published/rapport.duckdb").read_bytes()
    )


def tomorrow() -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC).date() + timedelta(days=1)).isoformat()


def test_an_unknown_check_is_answered_with_the_nearest_names(home: Home) -> None:
    said = home.run("validate", "--explain", "header_alon", check=2).stderr
    assert "header_alone" in said
    found = json.loads(
        home.run("validate", "--explain", "mass_vanish", "--json").stdout
    )
    assert found["severity"] == "critical" and found["waivable"]
    assert found["results"]


def test_every_command_of_the_runbook_exists() -> None:
    from typer.testing import CliRunner

    from rapport.cli import app

    runbook = (ROOT / "docs" / "runbooks" / "refused-night.md").read_text()
    options = {
        word.strip("`.,;)")
        for line in runbook.splitlines()
        if line.strip().startswith("rapport ")
        for word in line.split()
        if word.startswith("--")
    }
    known = CliRunner().invoke(app, ["validate", "--help"], terminal_width=200).stdout
    known += CliRunner().invoke(app, ["night", "--help"], terminal_width=200).stdout
    assert options and all(option in known for option in options)
