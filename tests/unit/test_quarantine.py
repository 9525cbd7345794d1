"""Quarantine that a person can work with: what waits, why, and again."""

import json
from pathlib import Path

import pytest

from conftest import Home
from lib.door import InProcess
from rapport.errors import UsageError
from rapport.ingest.load import _Quarantine
from rapport.privacy import verify_audit
from rapport.quarantine import quarantined, shown

BAD = "client_id,birth_date\nA1,1980\n,ZZCANARYZZ\nA3\n"
GOOD = "client_id,birth_date\nA1,1980\nA2,1981\nA3,1982\n"


@pytest.fixture
def door(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path / "home")


def test_the_commands_tell_reasons_and_rows_and_take_the_corrected_file(
    home: Home,
) -> None:
    folder = home.deliver("d1", {"clients.csv": BAD})
    assert "rapport quarantine retry b_" in home.run("ingest", check=4).stderr
    (batch,) = [
        row["batch_id"]
        for row in json.loads(home.run("quarantine", "list", "--json").stdout)
    ]
    said = home.run("quarantine", "show", batch, "--json").stdout
    rows = {row["reason"]: row["rows"] for row in json.loads(said)["reasons"]}
    assert rows == {"required_value_missing": [3], "row_too_short": [4]}
    assert "reason-codes.md#row_too_short" in said
    assert "ZZCANARYZZ" not in said
    refused = home.run("quarantine", "show", batch, "--values", check=2)
    assert "terminal" in refused.stderr
    assert "ZZCANARYZZ" not in refused.stdout + refused.stderr
    for verb in ("show", "retry"):
        home.run("quarantine", verb, "b_aaaaaaaaaaaa", check=2)
    (folder / "clients.csv").write_text(GOOD)
    home.run("quarantine", "retry", batch)
    assert json.loads(home.run("quarantine", "list", "--json").stdout) == []
    actions = [
        json.loads(line)["action"]
        for line in (home.path / "vault" / "audit.jsonl").read_text().splitlines()
    ]
    assert actions == ["quarantine_show", "quarantine_retry"]
    assert verify_audit(home.path) == []


def test_a_retry_replaces_what_was_loaded(door: InProcess) -> None:
    with door:
        first = door.deliver("canonical", "d1", {"clients.csv": BAD})
        assert (first.outcome, first.rows["loaded"]) == ("partly_loaded", 1)
        again = door.load("canonical", "d1", again=True)
        assert again == first
        folder = door.folder("canonical", "d1")
        (folder / "clients.csv").write_text(GOOD)
        mended = door.load("canonical", "d1", again=True)
        assert (mended.outcome, mended.reasons) == ("loaded", {})
        assert len(door.bronze("canonical", "clients")) == 3
        files = list((door.home / "bronze").rglob("*.parquet"))
        assert len(files) == 1
        assert list((door.home / "quarantine" / "canonical").iterdir()) == []


def test_a_retry_keeps_when_loaded_rows_were_received(door: InProcess) -> None:
    with door:
        door.deliver("canonical", "partly", {"clients.csv": BAD})
        door.deliver("canonical", "refused", {"clients.csv": "a,b\n1,2\n"})
        before = {d.batch_id: d for d in door.state.deliveries()}
        for delivery_id in ("partly", "refused"):
            (door.folder("canonical", delivery_id) / "clients.csv").write_text(GOOD)
            door.load("canonical", delivery_id, again=True)
        after = {d.batch_id: d for d in door.state.deliveries()}
    moved = {
        before[batch].outcome: after[batch].received_at > before[batch].received_at
        for batch in before
    }
    assert moved == {"partly_loaded": False, "refused": True}


def test_a_retry_that_is_killed_leaves_the_delivery_as_it_was(
    door: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door:
        first = door.deliver("canonical", "d1", {"clients.csv": BAD})
        (door.folder("canonical", "d1") / "clients.csv").write_text(GOOD)

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(door.state, "commit_delivery", killed)
            with pytest.raises(KeyboardInterrupt):
                door.load("canonical", "d1", again=True)
        (entry,) = quarantined(door.settings)
        assert door.of(entry["batch_id"], "partly_loaded") == first
        assert len(door.bronze("canonical", "clients")) == 1
        found = shown(door.settings, entry["batch_id"], values=False)
        assert [row["rows"] for row in found["reasons"]] == [[4], [3]]

        # Killed between the ledger and the quarantine folder: the next retry sees to it.
        with monkeypatch.context() as patched:
            patched.setattr(_Quarantine, "settle", killed)
            with pytest.raises(KeyboardInterrupt):
                door.load("canonical", "d1", again=True)
        assert len(door.bronze("canonical", "clients")) == 3
        mended = door.load("canonical", "d1", again=True)
        assert mended.outcome == "loaded"
        assert len(door.bronze("canonical", "clients")) == 3
        assert len(list((door.home / "bronze").rglob("*.parquet"))) == 1
        assert list((door.home / "quarantine" / "canonical").iterdir()) == []


def test_a_delivery_with_too_many_bad_rows_is_refused_whole(tmp_path: Path) -> None:
    files = {
        "clients.csv": GOOD,
        "therapists.csv": "therapist_id\nT1\nT2\n",
        "sessions.csv": "session_id,client_id,therapist_id,started_at\n"
        "S1,A1,T1,x\nS2,A1,T1,x\nS3,A1,T1,x\nS4,A1,T1,x\nS5,A1,T1,2026-01-05\n",
    }
    for share, n_loaded in ((0.4, 6), (0.39, 0)):
        with InProcess(tmp_path / str(share), max_bad_share=share) as door:
            said = door.deliver("canonical", "d1", files)
            assert said.rows["loaded"] == n_loaded
            assert said.rows["in"] == 10
            assert ("bad_share_exceeded" in said.reasons) == (n_loaded == 0)
            n_files = len(list((door.home / "bronze").rglob("*.parquet")))
            assert n_files == (3 if n_loaded else 0)
            modes = door.state.delivery_tables()
            assert len(modes) == (3 if n_loaded else 0)


def test_values_are_shown_without_what_steers_a_terminal(
    door: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with door:
        door.deliver("canonical", "d1", {"clients.csv": BAD + ",\x1b[2Jx\n"})
        (entry,) = quarantined(door.settings)
        found = shown(door.settings, entry["batch_id"], values=True)
        cells = [cell for row in found["values"] for cell in row["cells"]]
        assert "ZZCANARYZZ" in cells
        assert "\\x1b[2Jx" in cells
        with pytest.raises(UsageError):
            shown(door.settings, "b_nothing", values=True)
