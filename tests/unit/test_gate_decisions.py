"""What the gate decides from verdicts and waivers, what it learns from, the heartbeat."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from rapport import heartbeat, night
from rapport.errors import RapportError, SettingsError, UsageError
from rapport.privacy import verify_audit
from rapport.settings import Settings, load_settings
from rapport.state import CheckFinding, CheckResult, ControlState, Run
from rapport.validate import (
    Waiver,
    add_waiver,
    decide,
    find_check,
    load_suites,
    load_waivers,
)
from rapport.validate.__main__ import statuses_of
from rapport.validate.reference import PAGE, render_checks
from rapport.warehouse import candidate_mark, candidate_path

TODAY = date(2026, 7, 1)
SHORT = find_check(ROOT, "short_export")
FINDING = ["north", "b_aaaaaaaaaaaa", "sessions", "rows", 3.0, 22.0, None]


def verdict(status: str = "fail", findings: list | None = None) -> dict:
    found = [FINDING] if findings is None else findings
    return {
        "check_name": "short_export", "status": status, "observed": len(found) or None,
        "findings": found,
    }  # fmt: skip


def waiver(**said: object) -> Waiver:
    return Waiver.model_validate(
        {"check": "short_export", "reason": "holiday", "by": "M. Okafor",
         "expires_on": TODAY, **said}
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"RAPPORT_HOME": str(tmp_path)})


def test_a_failed_critical_check_refuses_unless_it_is_waived() -> None:
    assert decide([SHORT], [verdict()], []).refused
    assert not decide([SHORT], [verdict("pass", [])], []).refused
    kept = decide([SHORT], [verdict()], [waiver()])
    assert not kept.refused
    assert not kept.checks[0].passed


def test_a_waiver_of_one_source_covers_no_other() -> None:
    south = ["south", *FINDING[1:]]
    of_north = waiver(source="north")
    assert not decide([SHORT], [verdict()], [of_north]).refused
    assert decide([SHORT], [verdict(findings=[FINDING, south])], [of_north]).refused
    both = [of_north, waiver(source="south")]
    assert not decide([SHORT], [verdict(findings=[FINDING, south])], both).refused
    # Twenty are named and more are counted: who else is among them is not known.
    cut_short = {**verdict(), "observed": 25}
    assert decide([SHORT], [cut_short], [of_north]).refused


def test_an_error_and_a_missing_verdict_are_never_waived() -> None:
    assert decide([SHORT], [verdict("error", [])], [waiver()]).refused
    missing = decide([SHORT], [], [waiver()])
    assert missing.refused and missing.checks[0].status == "error"


def test_results_are_known_by_their_id_in_whatever_order() -> None:
    """A result of another suite is ignored, and one that lacks is an error."""
    checks = [find_check(ROOT, name) for name in ("header_alone", "mass_vanish")]
    checks.append(SHORT)

    def result(name: str, success: bool) -> SimpleNamespace:
        config = SimpleNamespace(meta={"id": name})
        return SimpleNamespace(
            expectation_config=config, success=success, exception_info=None
        )

    results = [result("short_export", True), result("elsewhere", False),
               result("header_alone", False)]  # fmt: skip
    assert statuses_of(checks, results) == {
        "header_alone": "fail", "mass_vanish": "error", "short_export": "pass",
    }  # fmt: skip


def test_a_waiver_is_written_logged_and_ends(settings: Settings) -> None:
    add_waiver(settings, waiver(reason='said "closed"\nall day', source="north"), TODAY)
    add_waiver(settings, waiver(check="header_alone"), TODAY)
    add_waiver(settings, waiver(reason="a second reason", source="north"), TODAY)
    found = load_waivers(settings)
    assert {(w.check, w.source, w.reason) for w in found.every} == {
        ("short_export", "north", "a second reason"), ("header_alone", None, "holiday"),
    }  # fmt: skip
    assert len(found.standing(TODAY)) == 2
    assert len(found.expired(TODAY + timedelta(days=1))) == 2
    log = (settings.home / "vault" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"] for line in log] == ["waiver_added"] * 3
    assert verify_audit(settings.home) == []


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"check": "short_exprot"}, "short_export"),
        ({"check": "ledger_sums_hold"}, "can't be waived"),
        ({"check": "score_within_range", "source": "north"}, "not of one source"),
        ({"expires_on": TODAY + timedelta(days=400)}, "max_waiver_days"),
        ({"expires_on": TODAY - timedelta(days=1)}, "max_waiver_days"),
    ],
)
def test_a_waiver_that_cannot_be_is_refused(
    settings: Settings, said: dict, names: str
) -> None:
    with pytest.raises(UsageError, match=names) as caught:
        add_waiver(settings, waiver(**said), TODAY)
    assert caught.value.exit_code == 2
    assert not (settings.home / "waivers.toml").exists()


def test_every_problem_of_the_waivers_is_told_at_once(settings: Settings) -> None:
    (settings.home / "waivers.toml").write_text(
        '[[waiver]]\ncheck = "nothing_like_it"\nreason = "because"\nby = "Ada L."\n'
        'expires_on = 2026-07-02\n[[waiver]]\ncheck = "short_export"\nhow = "so"\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_waivers(settings)
    said = caught.value.message
    assert "no such check" in said and "how: no such key" in said
    assert "waiver 2, reason" in said and caught.value.exit_code == 2


def test_the_checks_of_two_nights_are_kept_apart(settings: Settings) -> None:
    state = ControlState(settings.home)
    for run_id, passed in (("r_20260701_000001", True), ("r_20260702_000001", False)):
        result = CheckResult("history", "gate.judged", "short_export", "critical",
                             "pass" if passed else "fail", passed, None, "x")  # fmt: skip
        state.record_checks(run_id, [result])
    assert [row[6] for row in state.checks("r_20260701_000001")] == [1]
    assert [(row[0][:10], row[6]) for row in state.checks()] == [
        ("r_20260701", 1), ("r_20260702", 0),
    ]  # fmt: skip


def test_where_a_check_failed_is_of_its_night_alone(settings: Settings) -> None:
    """Also after a night is judged a second time, and its waiver is taken back."""
    state = ControlState(settings.home)
    north, south = CheckFinding(*FINDING), CheckFinding("south", *FINDING[1:])
    first, second = "r_20260701_000001", "r_20260702_000001"
    state.record_findings(first, {"short_export": [north, south]}, {})
    state.record_findings(second, {"short_export": [north]}, {"short_export": TODAY})
    state.record_findings(second, {"short_export": [south]}, {})
    assert state.findings(first) == {"short_export": [north, south]}
    assert state.findings(second) == {"short_export": [south]}
    assert state.waived() == {}


def test_a_candidate_of_another_night_is_not_judged(settings: Settings) -> None:
    """Two runs share one candidate: the checks of one are never written for the other."""
    state = ControlState(settings.home)
    candidate = candidate_path(settings)
    candidate.parent.mkdir(parents=True)
    candidate.write_bytes(b"one night")
    at = datetime(2026, 7, 1, 3, tzinfo=UTC)
    for run_id in ("r_20260701_000001", "r_20260702_000001"):
        state.start_run(Run(run_id, TODAY, None, at, None, "running", "d", None, None))
        state.set_run(run_id, "built", candidate_mark=candidate_mark(settings))
        candidate.write_bytes(b"another night")
    with pytest.raises(RapportError, match="not the one of this run"):
        night.validate(settings, "r_20260701_000001")
    assert state.checks() == []


def test_an_expired_waiver_lets_nothing_pass(settings: Settings) -> None:
    """Its last day counts; the day after, the night is refused again."""
    add_waiver(settings, waiver(), TODAY)
    waivers = load_waivers(settings)
    assert not decide([SHORT], [verdict()], waivers.standing(TODAY)).refused
    later = waivers.standing(TODAY + timedelta(days=1))
    assert later == [] and decide([SHORT], [verdict()], later).refused


@dataclass
class Monitor:
    """A monitor on this machine, and how often it was called."""

    url: str
    n_calls: int = 0
    status: int = 200


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.n_calls += 1
            self.send_response(heard.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    heard = Monitor(f"http://127.0.0.1:{server.server_port}/ping")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield heard
    server.shutdown()
    server.server_close()
    thread.join()


def _beat(home: Path, **environment: str) -> dict:
    said = {
        f"RAPPORT_GATE__{name.upper()}": value for name, value in environment.items()
    }
    settings = load_settings({"RAPPORT_HOME": str(home), **said})
    ControlState(home)
    at = datetime(2026, 7, 1, 3, tzinfo=UTC)
    run = Run("r_20260701_030000", date(2026, 6, 30), None, at, at, "published", "d", None,
              None)  # fmt: skip
    heartbeat.beat(settings, run, n_warnings=2)
    return json.loads((home / "state" / "heartbeat.json").read_text())


def test_a_good_night_beats_and_calls(tmp_path: Path, monitor: Monitor) -> None:
    said = _beat(tmp_path, heartbeat_url=monitor.url)
    assert said["last_good_night"] == "2026-06-30"
    assert said["warnings"] == 2
    assert _beat(tmp_path, heartbeat_url=monitor.url) == said
    assert monitor.n_calls == 1
    assert (tmp_path / "state" / "heartbeat.json").stat().st_mode & 0o077 == 0


def test_a_monitor_that_fails_fails_no_night(tmp_path: Path, monitor: Monitor) -> None:
    monitor.status = 500
    _beat(tmp_path, heartbeat_url=monitor.url)
    assert monitor.n_calls == 1
    # Nobody listens there.
    said = _beat(
        tmp_path, heartbeat_url="http://127.0.0.1:9/", heartbeat_timeout_seconds="1"
    )
    assert said["run_id"] == "r_20260701_030000"


def test_an_address_that_is_none_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="heartbeat_url"):
        _beat(tmp_path, heartbeat_url="ftp://monitor")


def test_the_page_of_checks_is_what_the_suites_say() -> None:
    """When it is stale: ``python -m rapport.validate.reference``."""
    assert (ROOT / PAGE).read_text("utf-8") == render_checks(ROOT)


def test_every_check_says_why_and_what_to_do() -> None:
    for check in load_suites(ROOT):
        for text in (check.expected, check.why, check.advice):
            assert len(text) > 15, check.id


@pytest.mark.parametrize(
    "said", ["where: n < 0, query: 'select 1 from {batch}'", "column: n"]
)
def test_a_check_of_rows_says_either_a_condition_or_a_query(
    tmp_path: Path, said: str
) -> None:
    suite = tmp_path / "expectations" / "suites" / "marts" / "one.yml"
    suite.parent.mkdir(parents=True)
    suite.write_text(
        "layer: marts\ndatabase: candidate\nexpectations:\n"
        f"  - {{id: one, table: core.one, kind: no_rows, {said}, severity: info,\n"
        "     owner: maintainer, expected: a, why: b, advice: c}\n"
    )
    with pytest.raises(RapportError, match=r"one: unknown or wrong where \(or query\)"):
        load_suites(tmp_path)
