"""A rotation and an erasure, SIGKILLed or without room: they end as if nothing had been.

Every change of a file is a place to be killed at in ``make prove``
(``tests/chaos/prove_vault_kills.py``); here the kills are spread over three of each.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Home
from lib import full_disk
from lib.vault_kills import COMMANDS, end_state, lay_clinic, run_until, was_killed


@dataclass(frozen=True)
class Undisturbed:
    """A command that nobody disturbed: where it began and what it came to."""

    what: str
    clinic: Path
    n_changes: int
    expected: dict[str, Any]


@pytest.fixture(scope="module", params=COMMANDS)
def undisturbed(
    request: pytest.FixtureRequest, new_home: Callable[[str], Home]
) -> Undisturbed:
    clinic = new_home("vault_clinic")
    lay_clinic(clinic)
    whole = new_home("vault_whole").path
    shutil.copytree(clinic.path, whole)
    done = run_until(whole, request.param, 0)
    assert done.returncode == 0, done.stderr
    expected = end_state(whole)
    assert expected != end_state(clinic.path)
    return Undisturbed(request.param, clinic.path, int(done.stdout), expected)


def test_a_killed_rotation_or_erasure_ends_as_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(undisturbed.clinic, home)
    assert undisturbed.n_changes > 20
    # Each try starts from what the last one left: early, in the middle, near the end.
    for part in (8, 3, 2):
        done = run_until(home, undisturbed.what, undisturbed.n_changes // part)
        assert was_killed(done), done.stderr
    assert end_state(home) != undisturbed.expected
    done = run_until(home, undisturbed.what, 0)
    assert done.returncode == 0, done.stderr
    assert end_state(home) == undisturbed.expected
    assert not list(home.rglob("*.building"))


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """A real one: a file system of a few megabytes, filled to two levels."""
    frees = ("0", "40000")
    done = subprocess.run(
        [*full_disk.in_namespace(), sys.executable, full_disk.__file__,
         str(undisturbed.clinic), str(tmp_path / "out"), undisturbed.what, *frees],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *refused, (code, said) = json.loads(done.stdout)
    assert code == 0, said
    for code, said in refused:
        assert code == 1 and "no room left on the disk" in said, said
        assert "again" in said and "Traceback" not in said
    assert end_state(tmp_path / "out") == undisturbed.expected
