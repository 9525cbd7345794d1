"""A full disk is told as what it is, whoever met it."""

import errno
import sqlite3
from pathlib import Path

import duckdb
import pytest

from rapport.errors import DiskFull, ExitCode, is_disk_full


def test_the_systems_and_the_engines_words_for_a_full_disk_are_known() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "x"))
    assert is_disk_full(
        duckdb.IOException('Could not write "f": No space left on device')
    )
    assert not is_disk_full(OSError(errno.EACCES, "x"))
    assert not is_disk_full(duckdb.IOException("Could not set lock on file"))


def test_a_control_store_without_room_is_a_full_disk(tmp_path: Path) -> None:
    con = sqlite3.connect(tmp_path / "small.sqlite")
    con.execute("pragma max_page_count = 2")
    con.execute("create table t (x blob)")
    with pytest.raises(sqlite3.OperationalError) as caught:
        con.execute("insert into t values (zeroblob(100000))")
    assert is_disk_full(caught.value)


def test_a_full_disk_says_what_stands_and_what_to_do() -> None:
    error = DiskFull("publishing", again="rapport publish")
    assert (error.exit_code, error.is_retryable) == (ExitCode.FAILED, True)
    assert "the earlier snapshot stands" in error.message
    assert error.next_step == "free room, then run rapport publish again"
