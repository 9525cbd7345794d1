"""`rapport explain` on planted episodes of the sample, and who may be looked up."""

import csv
import io
import json
import re
from dataclasses import dataclass

import duckdb
import pytest

from conftest import ROOT, Home
from lib.small_nights import settings_of

HOW_TO = ROOT / "docs" / "how-to" / "read-an-explanation.md"
# Planted: a late repair; one that stayed unrepaired; a last-minute drop; a stall; and one
# too small to be told from error.
PLANTED = {
    "late repair": "P000012",
    "unrepaired": "P000025",
    "pending": "P000033",
    "stall": "P000011",
    "below error": "P000031",
}


@dataclass(frozen=True)
class Sample:
    """The sample's night, asked by the clients' own names."""

    home: Home

    def episode(self, client: str) -> str:
        from rapport.privacy import KeyRing

        key = KeyRing.of(settings_of(self.home)).row_key("client", "canonical", client)
        path = self.home.path / "published" / "rapport.duckdb"
        with duckdb.connect(path, read_only=True) as con:
            ((episode,),) = con.execute(
                "select episode_key from core.fct_episode where client_key = ?"
                " order by n_attended desc limit 1",
                [key],
            ).fetchall()
        return episode

    def explain(self, planted: str, *more: str) -> str:
        return self.home.run("explain", self.episode(PLANTED[planted]), *more).stdout


@pytest.fixture(scope="module")
def sample(sample_home: Home) -> Sample:
    return Sample(sample_home)


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_a_late_repair_is_told_with_its_numbers_rule_and_source(
    sample: Sample,
) -> None:
    said = _flat(sample.explain("late repair"))
    assert "Session 5, 2025-11-17: the client's total was 2.83." in said
    assert "compared with 4.11, the mean of the last scores outside any rupture" in said
    assert "The drop of 1.28 is 2.08 times the reliable change (0.61)" in said
    assert "repaired at session 10, 2025-12-29, at 3.92: 5 sessions later" in said
    assert "(late_repair)" in said
    assert "Rupture not repaired on WAI-SR" in said
    assert "Jacobson & Truax 1991; Eubanks-Carter, Gorman & Muran 2012" in said
    assert (
        "by error alone at least once in twelve scored sessions in 9.0% of cases"
        in said
    )


def test_the_how_to_shows_what_is_said(sample: Sample) -> None:
    """The page holds the whole text, but for the key, which every vault makes anew."""
    said = re.sub(r"ep_[a-z0-9]{26}", "ep_…", sample.explain("late repair"))
    assert said.strip() in HOW_TO.read_text(encoding="utf-8")


def test_a_rupture_that_stayed_is_told_without_blame(sample: Sample) -> None:
    said = _flat(sample.explain("unrepaired"))
    assert "The episode closed before a score showed a repair" in said
    assert "the episode of care closed (episode_closed)" in said
    for word in ("because", "caused", "due to", "fault", "failed", "failure", "resist"):
        assert not re.search(rf"\b{word}", said.lower())


def test_a_drop_at_the_last_session_is_open(sample: Sample) -> None:
    said = _flat(sample.explain("pending"))
    assert "Too few scores have followed to say whether it was repaired" in said
    assert re.search(r"Rupture on WAI-SR: open since 2026-0\d-\d\d, \d+ days", said)


def test_a_stall_is_told_as_a_prompt(sample: Sample) -> None:
    said = _flat(sample.explain("stall"))
    assert "Stalled recovery: return to the alliance on PCL-5" in said
    assert "a prompt to look at the alliance again" in said
    assert "National Center for PTSD" in said


def test_a_drop_within_error_is_no_rupture(sample: Sample) -> None:
    said = sample.explain("below error")
    assert "Ruptures (0)" in said
    assert "No score of this episode counts as a rupture by this method." in said


def test_the_plot_marks_onset_inside_and_repair(sample: Sample) -> None:
    lines = sample.explain("late repair").splitlines()
    rows = [line for line in lines if re.match(r" *\d+\.\d │", line)]
    assert len(rows) == 9
    drawn = "".join(rows)
    assert (drawn.count("▼"), drawn.count("○"), drawn.count("◆")) == (1, 3, 1)
    assert "┄" in drawn


def test_another_method_is_told_by_its_own_rule(sample: Sample) -> None:
    said = _flat(sample.explain("late repair", "--method", "abs_drop"))
    assert "Method abs_drop" in said
    assert "compared with 4.17, the score before" in said
    assert "A drop by at least one unit of the scale" in said


def test_json_holds_the_same(sample: Sample) -> None:
    found = json.loads(sample.explain("late repair", "--json"))
    assert [r["status"] for r in found["ruptures"]] == ["late_repair"]
    assert [s["signal"] for s in found["signals"]] == ["rupture", "rupture_unrepaired"]
    assert found["signals"][0]["evidence"]["onset_session"] == 5
    assert len(found["scores"]) == 10
    assert "th_" not in json.dumps(found)


def test_an_unknown_episode_or_method_is_wrong_usage(sample: Sample) -> None:
    said = sample.home.run("explain", "P000012", check=2)
    assert "P000012" not in said.stdout + said.stderr
    assert "Next:" in said.stderr
    key = sample.episode(PLANTED["stall"])
    said = sample.home.run("explain", key, "--method", "guess", check=2)
    assert "default_rc3" in said.stderr


def test_only_clients_with_an_open_signal_are_exported(sample: Sample) -> None:
    said = sample.home.run("identity", "export", "--open-signals", "--reason", "calls")
    rows = list(csv.DictReader(io.StringIO(said.stdout)))
    path = sample.home.path / "published" / "rapport.duckdb"
    with duckdb.connect(path, read_only=True) as con:
        wanted = con.execute("select distinct client_key from outcomes.fct_care_signal"
                             " where status = 'open'").fetchall()  # fmt: skip
    assert wanted
    assert {row["client_key"] for row in rows} == {key for (key,) in wanted}
    assert "P000033" in {row["client_id"] for row in rows}
    log = (sample.home.path / "vault" / "audit.jsonl").read_text().splitlines()
    entry = json.loads(log[-1])
    assert (entry["action"], entry["reason"]) == ("identity_export", "calls")
    assert entry["object"] == "clients with open signals"


def test_the_status_counts_open_signals(sample: Sample) -> None:
    said = json.loads(sample.home.run("status", "--json", check=None).stdout)
    path = sample.home.path / "published" / "rapport.duckdb"
    with duckdb.connect(path, read_only=True) as con:
        counted = con.execute("select count(*) from outcomes.fct_care_signal where"
                              " closed_on is null").fetchone()  # fmt: skip
    assert counted == (said["open_signals"],)
    assert said["open_signals"] > 0
