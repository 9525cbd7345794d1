"""Small parts of the upkeep: settings rewritten, the audit log cut, a monitor's script."""

import gzip
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import ROOT, Home
from lib.small_nights import settings_of
from rapport import housekeeping, settings
from rapport.errors import SettingsError
from rapport.health import write_health
from rapport.privacy import append_audit, audit_head, verify_audit
from rapport.privacy.audit import cut_audit
from rapport.settings import Retired, WeakerWhen
from rapport.upgrade import rewritten

OLD = """# ours
[inbox]
settle = 3  # slow share
[gate]
loudness = 4
min_rows = 20
"""


@pytest.fixture
def retired(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "inbox.settle": Retired("inbox.settle_seconds", "its unit is told"),
        "gate.loudness": Retired(None, "it did nothing"),
        "gate.min_rows": Retired("qi.small_cell_min", "one home"),
    }
    monkeypatch.setattr(settings, "RETIRED", said)


def test_settings_are_rewritten_with_their_comments(retired: None) -> None:
    text, told = rewritten(OLD)
    assert text == (
        "# ours\n[inbox]\nsettle_seconds = 3  # slow share\n[gate]\n"
        "# retired (it did nothing): loudness = 4\n\n[qi]\nsmall_cell_min = 20\n"
    )
    assert [line.split()[0] for line in told] == [
        "inbox.settle", "gate.loudness", "gate.min_rows",
    ]  # fmt: skip
    assert rewritten(text) == (text, [])


def test_a_renamed_setting_says_its_heir(retired: None, home: Home) -> None:
    home.path.mkdir()
    (home.path / "rapport.toml").write_text(OLD)
    with pytest.raises(SettingsError, match=r"inbox.settle: is inbox.settle_seconds"):
        settings_of(home)


@pytest.mark.parametrize(
    ("moved", "now", "before", "is_weaker"),
    [
        ("kept_longer", 0, 90, True),
        ("kept_longer", 91, 90, True),
        ("kept_longer", 30, 0, False),
        ("kept_shorter", 30, 2190, True),
        ("kept_shorter", 2190, 0, True),
        ("kept_shorter", 0, 2190, False),
    ],
)
def test_days_of_which_zero_keeps_for_good_know_what_is_weaker(
    moved: str, now: int, before: int, is_weaker: bool
) -> None:
    assert WeakerWhen(moved).is_weaker(now, before) is is_weaker


def test_a_cut_audit_log_verifies_and_a_beheaded_one_does_not(tmp_path: Path) -> None:
    for number in range(5):
        append_audit(tmp_path, "test", f"o_{number}", "a reason")
    head = audit_head(tmp_path)
    path = tmp_path / "vault" / "audit.jsonl"
    lines = path.read_text().splitlines()
    assert cut_audit(tmp_path, datetime.now(UTC) - timedelta(days=1)) == (0, 0)
    path.write_text("\n".join(lines[2:]) + "\n")
    assert verify_audit(tmp_path) != []
    path.write_text("\n".join(lines) + "\n")
    n_gone, _ = cut_audit(tmp_path, datetime.now(UTC) + timedelta(minutes=1))
    assert n_gone == 5
    append_audit(tmp_path, "test", "o_6", "a reason")
    assert verify_audit(tmp_path, [str(head)]) == []
    assert len(path.read_text().splitlines()) == 2
    altered = path.read_text().replace("o_6", "o_7")
    path.write_text(altered)
    assert verify_audit(tmp_path) != []


def test_yesterdays_log_is_packed_and_opens_for_its_owner_alone(home: Home) -> None:
    logs = home.path / "logs"
    logs.mkdir(parents=True)
    line = '{"at":"2026-01-01T00:00:00.000+00:00","event":"step"}\n'
    (logs / "rapport.jsonl").write_text(line)
    os.utime(logs / "rapport.jsonl", (1767225600, 1767225600))
    assert housekeeping.rotate_logs(settings_of(home))["n_rotated"] == 1
    (packed,) = logs.glob("*.gz")
    assert packed.name == "rapport-2026-01-01-1.jsonl.gz"
    assert gzip.decompress(packed.read_bytes()).decode() == line
    assert packed.stat().st_mode & 0o777 == 0o600
    assert housekeeping.rotate_logs(settings_of(home))["n_rotated"] == 0


def test_the_monitors_script_of_the_page_runs(home: Home, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "watch-rapport.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (home.path / "state").mkdir(parents=True)
    write_health(settings_of(home), "build", "failed")
    said = json.loads((home.path / "state" / "health.json").read_text())
    fields = set(re.findall(r"`([a-z_]+)`", page.partition("Times are UTC")[0]))
    assert set(said) - {"version"} <= fields
    out = tmp_path / "rapport.prom"
    done = subprocess.run(
        [sys.executable, "-c", script, str(home.path), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stdout.startswith("RAPPORT CRITICAL - no snap")
    assert "rapport_night_refused 0" in out.read_text()
