"""A bad night is told of once a day, by every way that is set, and never with a value."""

import asyncio
import json
import socketserver
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rapport import alerts, night
from rapport.settings import Settings, load_settings
from rapport.state import ControlState, Delivery, Run

NOW = datetime(2026, 6, 30, 6, 30, tzinfo=UTC)


def settings_of(home: Path, text: str = "") -> Settings:
    home.mkdir(exist_ok=True)
    (home / "rapport.toml").write_text(text)
    return load_settings({"RAPPORT_HOME": str(home)})


def a_run(outcome: str, ended: datetime | None) -> Run:
    run_id = f"r_20260630_033000_{outcome[:4]}"
    started = (ended or datetime.now(UTC)) - timedelta(minutes=5)
    return Run(run_id, NOW.date(), None, started, ended, outcome, "s" * 64, None, None)


def deliveries(source: str, days_before: list[float]) -> list[Delivery]:
    return [
        Delivery(f"b_{source}{i}", source, "d", "m", NOW - timedelta(days=days),
                 NOW - timedelta(days=days), "loaded", 1)
        for i, days in enumerate(days_before)
    ]  # fmt: skip


@contextmanager
def mailbox() -> Iterator[tuple[int, list[str]]]:
    """Serve SMTP on loopback; yield its port and the messages it took."""
    taken: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while said := self.rfile.readline():
                if said.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    taken.append(b"".join(lines).decode())
                is_over = said.upper().startswith(b"QUIT")
                self.wfile.write(b"221 bye\r\n" if is_over else b"250 ok\r\n")
                if is_over:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], taken
        server.shutdown()


@contextmanager
def hook(status: int = 200) -> Iterator[tuple[str, list[dict]]]:
    """Serve HTTP on loopback; yield its address and the documents it was sent."""
    taken: list[dict] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(
                json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(status)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", taken
        server.shutdown()


def test_a_refused_night_is_told_by_mail_and_by_the_hook_once(tmp_path: Path) -> None:
    with mailbox() as (port, mails), hook() as (url, posts):
        settings = settings_of(
            tmp_path,
            f'[alerts]\nwebhook_url = "{url}"\nemail_to = ["team@clinic.example"]\n'
            f'smtp_host = "127.0.0.1"\nsmtp_port = {port}\n',
        )
        ControlState(tmp_path).start_run(a_run("refused", None))
        assert night.tell_of_failure(settings) == {"n_told": 1}
        # At the nightly hour it is judged again, by another run.
        again = replace(a_run("refused", None), run_id="r_20260630_040000_refu")
        ControlState(tmp_path).start_run(again)
        assert night.tell_of_failure(settings) == {"n_told": 0}
    (post,), (mail,) = posts, mails
    assert post["code"] == "night_refused"
    assert "Subject: rapport: night refused" in mail
    (alert,) = alerts.alerts(settings)
    assert alert.unsent == ()
    kept = tmp_path / "state" / "alerts.jsonl"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_address_that_does_not_answer_is_noted_and_fails_nothing(
    tmp_path: Path,
) -> None:
    with hook(500) as (url, _):
        settings = settings_of(
            tmp_path,
            f'[alerts]\nwebhook_url = "{url}"\nemail_to = ["team@clinic.example"]\n'
            'smtp_host = "127.0.0.1"\nsmtp_port = 9\ntimeout_seconds = 2\n',
        )
        assert alerts.tell(settings, "night_late", "2026-06-30", "No night.")
    (alert,) = alerts.alerts(settings)
    assert alert.unsent == ("webhook", "email")


def test_an_alert_stands_until_the_next_good_night(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    alerts.tell(settings, "export_late", "north", "Source north is late.")
    assert alerts.standing(settings) == ["Source north is late."]
    assert "Source north is late." in night.notice_of(settings)
    state = ControlState(tmp_path)
    state.start_run(a_run("running", None))
    state.set_run(
        a_run("running", None).run_id, "published",
        ended_at=datetime.now(UTC) + timedelta(seconds=2),
    )  # fmt: skip
    assert alerts.standing(settings) == []


def test_a_published_night_is_not_told_of(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ControlState(tmp_path).start_run(a_run("published", datetime.now(UTC)))
    assert night.tell_of_failure(settings) == {"n_told": 0}


@pytest.mark.parametrize(
    ("days", "is_late"),
    [
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], False),  # daily, the last a day ago
        ([9, 8, 7, 6, 5, 4, 3, 2], True),  # daily, the last two days ago
        ([10, 9, 8, 7, 4, 3], False),  # a weekend is its longest gap: three days
        ([10, 9, 8, 7, 4.5, 4], True),  # ... and four are a quarter longer
        ([8, 6, 4, 3], False),  # too few to learn from
        ([80, 70, 60, 50, 40, 35], False),  # silent for a month: no longer learned
    ],
)
def test_an_export_is_late_when_its_source_was_never_silent_for_so_long(
    days: list[float], is_late: bool
) -> None:
    late = alerts.late_sources(deliveries("north", days), NOW)
    assert ("north" in late) == is_late


def test_a_morning_without_a_new_snapshot_is_told_of(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert night.check_morning(settings) == {"n_told": 0}  # nothing was ever delivered
    state = ControlState(tmp_path)
    for delivery in deliveries("north", [40]):
        state.commit_delivery(
            delivery, modes={}, bronze=[], ledger=[], refusals=[], notices=[]
        )
    state.start_run(a_run("published", NOW - timedelta(hours=23)))
    assert alerts.tell_of_the_morning(settings, NOW) == 0
    assert alerts.tell_of_the_morning(settings, NOW + timedelta(hours=2)) == 1
    assert [alert.code for alert in alerts.alerts(settings)] == ["night_late"]


@pytest.mark.parametrize(
    ("state", "told"),
    [("running", ["night_slow"]), ("queued", ["night_slow"]), ("failed", [])],
)
def test_a_night_that_ended_before_its_deadline_is_not_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, told: list[str]
) -> None:
    """Airflow keeps the deadline of a run that failed."""
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    asyncio.run(alerts.night_is_slow(context={"dag_run": {"state": state}}))
    assert [one.code for one in alerts.alerts(settings_of(tmp_path))] == told
