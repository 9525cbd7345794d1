"""Fixtures of the suite: a fresh RAPPORT_HOME, deliveries from text, the commands."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ORDER = (
    "unit", "dags", "spec", "property", "browser", "acceptance", "integration", "chaos",
)  # fmt: skip
ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast folders first."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return _ORDER.index(folder) if folder in _ORDER else len(_ORDER)

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

    def run(
        self, *arguments: str, check: int | None = 0
    ) -> subprocess.CompletedProcess:
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
