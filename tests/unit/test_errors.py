"""A full disk, and memory at its limit, are told as what they are, whoever met them."""

import errno
import sqlite3
from pathlib import Path

import duckdb
import pytest

from rapport.errors import (
    DiskFull,
    ExitCode,
    MemoryLimitReached,
    is_disk_full,
    shortage,
)


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


def test_memory_at_the_engines_limit_is_told_as_that() -> None:
    con = duckdb.connect(config={"memory_limit": "5MB", "temp_directory": ""})
    with con, pytest.raises(duckdb.Error) as caught:
        con.execute("create table t as select range as n from range(5_000_000)")
    short = shortage(caught.value, "loading delivery b_x", again="rapport ingest")
    assert isinstance(short, MemoryLimitReached)
    assert (short.exit_code, short.is_retryable) == (ExitCode.FAILED, False)
    assert "warehouse.memory_limit" in short.next_step
    assert "rapport ingest" in short.next_step


def test_what_is_neither_short_of_room_nor_of_memory_stays_what_it_is() -> None:
    assert shortage(OSError(errno.EACCES, "x"), "building") is None
    assert isinstance(shortage(OSError(errno.ENOSPC, "x"), "building"), DiskFull)
