"""What rapport makes is for its owner alone, whatever the umask of who calls it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.files import private_folder, write_whole


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_folder_that_was_missing_is_closed_to_others(tmp_path: Path) -> None:
    private_folder(tmp_path / "warehouse" / "target" / "run")
    for made in ("warehouse", "warehouse/target", "warehouse/target/run"):
        assert _mode(tmp_path / made) == 0o700, made


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """A clinic may share one with its readers."""
    shared = tmp_path / "published"
    shared.mkdir(mode=0o750)
    private_folder(shared / "papers")
    private_folder(shared)
    assert _mode(shared) == 0o750


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    for asked in (tmp_path / "state", tmp_path / "state" / "copies"):
        with pytest.raises(OSError, match="state"):
            private_folder(asked)


def test_a_written_file_is_closed_to_others(tmp_path: Path) -> None:
    write_whole(tmp_path / "night.json", "{}")
    assert _mode(tmp_path / "night.json") == 0o600
