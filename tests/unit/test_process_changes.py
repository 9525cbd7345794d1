"""`rapport change`: what it records, where, and what it refuses."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from rapport.change import changes_of, print_changes, record_change
from rapport.errors import SettingsError, UsageError
from rapport.privacy import verify_audit
from rapport.settings import Settings, load_settings

DAY = date(2025, 7, 15)
NOTE = 'Reminders by "text" message'


def settings_of(home: Path) -> Settings:
    return load_settings({"RAPPORT_HOME": str(home)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A published snapshot of three series, of two charts and a clinic."""
    (tmp_path / "published").mkdir()
    with duckdb.connect(tmp_path / "published" / "rapport.duckdb") as con:
        con.execute("create schema qi; create schema core")
        con.execute("create table qi.spc_series as from (values"
                    " ('completion.alliance_client', 'all', date '2025-01-01'),"
                    " ('completion.alliance_client', 'cn_1', date '2025-08-01'),"
                    " ('dropout', 'all', null))"
                    " as t (chart_id, clinic_key, start_month)")  # fmt: skip
        con.execute("create table core.dim_clinic as select 'cn_1' as clinic_key,"
                    " 'North' as clinic_name")  # fmt: skip
    return tmp_path


def test_a_change_is_recorded_beside_those_of_the_settings(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "rapport.toml").write_text(
        "# ours\n[[qi.process_change]]\nchart='dropout'\nfrom=2026-01-01\nnote='before'\n"
    )
    before = settings_of(home).digest()
    said = record_change(settings_of(home), "completion.*", DAY, NOTE, None)
    assert said[0].startswith("Recorded: 1 of 2 series begin a new segment")
    record_change(settings_of(home), "completion.*", DAY, "A second room", "North")
    settings = settings_of(home)
    told = [
        (c["from"], c["clinic"], c["note"], c["origin"]) for c in changes_of(settings)
    ]
    assert told == [
        (DAY, None, NOTE, "process_changes.toml"),
        (DAY, "North", "A second room", "process_changes.toml"),
        (date(2026, 1, 1), None, "before", "settings"),
    ]
    assert settings.digest() != before, "it moves published numbers"
    assert (home / "rapport.toml").read_text().startswith("# ours")
    assert (home / "process_changes.toml").stat().st_mode & 0o777 == 0o600
    print_changes(changes_of(settings))
    assert (
        "2025-07-15  completion.*, clinic North: A second room"
        in capsys.readouterr().out
    )


def test_a_change_is_logged_with_who_and_why(home: Path) -> None:
    record_change(settings_of(home), "completion.*", DAY, NOTE, "cn_1")
    (entry,) = map(
        json.loads, (home / "vault" / "audit.jsonl").read_text().splitlines()
    )
    assert entry["action"] == "process_change_added"
    assert entry["object"] == "chart completion.*, clinic cn_1, from 2025-07-15"
    assert entry["reason"] == NOTE
    assert verify_audit(home) == []


@pytest.mark.parametrize(
    ("chart", "note", "clinic", "why"),
    [
        ("complation.*", NOTE, None, "--chart: no chart is named so"),
        ("completion.x", NOTE, None, "no chart of the snapshot"),
        ("completion.*", "ab", None, "--note"),
        ("completion.*", "two\nlines", None, "--note"),
        ("completion.*", NOTE, "South", "no clinic of these charts"),
        ("dropout", NOTE, "cn_1", "no clinic of these charts"),
    ],
)
def test_what_names_nothing_is_not_recorded(
    home: Path, chart: str, note: str, clinic: str | None, why: str
) -> None:
    with pytest.raises(UsageError) as stopped:
        record_change(settings_of(home), chart, DAY, note, clinic)
    assert why in stopped.value.message
    assert not (home / "process_changes.toml").exists()
    assert not (home / "vault").exists()


def test_the_same_change_is_recorded_once(home: Path) -> None:
    record_change(settings_of(home), "completion.*", DAY, NOTE, None)
    with pytest.raises(UsageError, match="recorded already"):
        record_change(settings_of(home), "completion.*", DAY, "In other words", None)


def test_before_the_first_night_a_change_can_be_recorded(tmp_path: Path) -> None:
    said = record_change(settings_of(tmp_path), "completion.*", DAY, NOTE, None)
    assert "nothing is published yet" in said[0]
    assert len(settings_of(tmp_path).qi.process_change) == 1


def test_a_file_that_holds_anything_else_stops_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "process_changes.toml").write_text("[qi]\nsettle_days = 1\n")
    with pytest.raises(SettingsError, match=r"process_changes\.toml"):
        settings_of(tmp_path)
    (tmp_path / "process_changes.toml").write_text("[[process_change]]\nchart = 'x'\n")
    with pytest.raises(SettingsError, match=r"qi\.process_change\.0\.chart"):
        settings_of(tmp_path)
