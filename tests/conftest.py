"""Fixtures of the suite: a fresh RAPPORT_HOME, deliveries from text, the commands."""

import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from lib.parsed import lent_parse

_ORDER = (
    "unit", "dags", "spec", "property", "browser", "acceptance", "integration", "chaos",
)  # fmt: skip
ROOT = Path(__file__).parents[1]
# The files that take longest come right after the fast folders, the longest first: a file
# goes to one process, and one that came last would leave the other idle.
_FAST = ("unit", "dags")
_LONG = (
    "integration/test_live.py",
    "chaos/test_proof.py",
    "property/test_marts_equal_oracle.py",
    "integration/test_demo_clinic.py",
    "integration/test_night.py",
    "property/test_increments.py",
    "browser/test_chromium.py",
    "integration/test_canaries.py",
    "chaos/test_vault_kills.py",
    "integration/test_house.py",
    "integration/test_gate.py",
    "property/test_signals_night_by_night.py",
)


# What rapport makes is closed to others by itself: a careful person's umask must not hide
# that something isn't.
os.umask(0o022)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast folders first, then the long files, then the rest."""

    def place(item: pytest.Item) -> tuple[int, int]:
        path = item.path.relative_to(ROOT / "tests")
        folder = path.parts[0]
        if folder in _FAST:
            return 0, _FAST.index(folder)
        if path.as_posix() in _LONG:
            return 1, _LONG.index(path.as_posix())
        return 2, _ORDER.index(folder) if folder in _ORDER else len(_ORDER)

    items.sort(key=place)


def table(text: str) -> str:
    """Turn a small text table (``a | b`` lines) into CSV with a line end."""
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in text.strip().splitlines()
        if line.strip()
    ]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


class Home:
    """One RAPPORT_HOME and what a person does with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def deliver(
        self,
        delivery_id: str,
        files: dict[str, str | bytes],
        source: str = "canonical",
        *,
        manifest: str | None = None,
        is_complete: bool = True,
    ) -> Path:
        folder = self.path / "inbox" / source / delivery_id
        folder.mkdir(parents=True)
        for name, said in files.items():
            content = said if isinstance(said, bytes) else said.encode()
            (folder / name).write_bytes(content)
        if manifest is not None:
            (folder / "manifest.json").write_text(manifest)
        if is_complete:
            (folder / "_SUCCESS").touch()
        return folder

    def lay_key(self) -> None:
        """Lay the same key in every run, so that rows that sort by key lie the same."""
        keys = self.path / "vault" / "keys"
        keys.mkdir(parents=True, mode=0o700)
        (keys / "k1.key").write_bytes(bytes(range(32)))
        for path, mode in (
            (keys / "k1.key", 0o600),
            (keys.parent, 0o700),
            (keys, 0o700),
        ):
            path.chmod(mode)

    def run(
        self, *arguments: str, check: int | None = 0
    ) -> subprocess.CompletedProcess:
        is_built = arguments[0] in ("build", "night", "backfill")
        with lent_parse(self.path) if is_built else nullcontext():
            done = subprocess.run(
                [str(Path(sys.executable).with_name("rapport")), *arguments],
                env={**os.environ, "RAPPORT_HOME": str(self.path)},
                capture_output=True,
                text=True,
                check=False,
            )
        if check is not None:
            assert done.returncode == check, done.stderr + done.stdout
        return done


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty RAPPORT_HOME."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Home]:
    """Return a maker of homes for fixtures that outlive one test."""
    return lambda name: Home(tmp_path_factory.mktemp(name) / "home")


@pytest.fixture(scope="session")
def sample_home(new_home: Callable[[str], Home]) -> Home:
    """Return the tracked sample's home after a night without the gate; leave it so."""
    from lib.small_nights import small_night

    home = new_home("sample")
    home.lay_key()
    shutil.copytree(ROOT / "data" / "sample" / "inbox", home.path / "inbox")
    small_night(home, "2026-06-30")
    return home
