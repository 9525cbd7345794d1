"""The control store: brought up to date in place, and a log that only grows."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from rapport.errors import RapportError
from rapport.state import ControlState, Run
from rapport.state.control import _STEPS, SCHEMA_VERSION

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _entry(run_id: str, key: str, client: str, closed_on: str | None = None) -> tuple:
    return (run_id, "2026-03-01", key, "disengagement", None, "ep_1", client, None, None,
            "2026-02-01", "2026-03-01T00:00:00.000000", closed_on, None, "{}")  # fmt: skip


def _with_run(home: Path) -> ControlState:
    state = ControlState(home)
    state.start_run(
        Run("r_1", date(2026, 3, 1), None, NOW, None, "running", "digest", None, None)
    )
    return state


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_an_older_store_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    """Each earlier version, with its rows, gains what came after it."""
    path = tmp_path / "state" / "rapport.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as con, con:
        for step in _STEPS[:version]:
            con.executescript(step)
        con.execute("insert into first_seen values ('rupture', 'ru_1', '2026', 'r_1')")
        con.execute(f"pragma user_version = {version}")
    state = ControlState(tmp_path)
    assert state.signal_log() == []
    assert state.first_seen() == [("rupture", "ru_1", "2026")]
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_store_of_a_later_version_is_not_opened(tmp_path: Path) -> None:
    state = ControlState(tmp_path)
    with closing(sqlite3.connect(state.path)) as con:
        con.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(RapportError, match="reads version"):
        ControlState(tmp_path)


def test_the_same_night_entered_twice_is_in_the_log_once(tmp_path: Path) -> None:
    """The publish and the reconciliation of the next night may both bring it."""
    state = _with_run(tmp_path)
    for _ in range(2):
        state.mark_published("r_1", NOW, [], [_entry("r_1", "si_a", "cl_1")])
    assert state.signal_log() == [_entry("r_1", "si_a", "cl_1")]
    state.mark_published("r_1", NOW, [], [_entry("r_2", "si_a", "cl_1", "2026-03-02")])
    assert [entry[0] for entry in state.signal_log()] == ["r_1", "r_2"]


def test_an_erasure_leaves_a_number_and_no_key(tmp_path: Path) -> None:
    state = _with_run(tmp_path)
    entries = [
        _entry("r_1", "si_a", "cl_1"),
        _entry("r_2", "si_a", "cl_1", "2026-03-02"),
        _entry("r_1", "si_b", "cl_2"),
    ]
    state.mark_published("r_1", NOW, [], entries)
    assert state.erase_signals(["cl_1", "cl_3"], NOW) == 1
    assert [entry[2] for entry in state.signal_log()] == ["si_b"]
    assert [n for _, n in state.signal_erasures()] == [1]
    assert state.erase_signals(["cl_1"], NOW) == 0
    assert len(state.signal_erasures()) == 1
