"""Every row of the door's tables: what arrives, what happens, and that the pages say so."""

import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.door import InProcess
from lib.door_cases import CANARY, DRIFT, ENCODINGS, HOSTILE, PAGES, Case, rendered

DOCS = Path(__file__).parents[2] / "docs" / "reference"
_MOST_SECONDS, _MOST_MB = 60, 600


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    home = tmp_path_factory.mktemp("matrices") / "home"
    with InProcess(home, max_inflated_gb=0.08) as opened:
        yield opened


def _id(case: Case) -> str:
    return "-".join(case.arrives.lower().split()[:6])


@pytest.mark.parametrize("case", [*ENCODINGS, *DRIFT, *HOSTILE], ids=_id)
def test_what_arrives_is_loaded_refused_or_neutralised(
    door: InProcess, case: Case
) -> None:
    source = f"case{[*ENCODINGS, *DRIFT, *HOSTILE].index(case)}"
    mappings = door.home / "mappings"
    mappings.mkdir(exist_ok=True)
    (mappings / f"{source}.toml").write_text(f'extends = "canonical"\n{case.mapping}')
    if case.before is not None:
        assert door.deliver(source, "d1", case.before).outcome == "loaded"
    n_before = len(door.bronze(source, "clients"))
    folder = door.folder(source, "d2")
    if case.lay is not None:
        case.lay(folder)
    began = time.monotonic()
    loaded = door.deliver(source, "d2", case.files)
    assert time.monotonic() - began < _MOST_SECONDS
    # Peak memory of this process, engine included, and of the largest that it started.
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        assert resource.getrusage(who).ru_maxrss < 1024 * (_MOST_MB + 1024)
    assert set(loaded.reasons) == set(case.reasons)
    assert loaded.rows["loaded"] == case.n_loaded
    assert set(loaded.notices) >= case.notices
    assert loaded.columns >= case.columns
    if case.encoding:
        assert loaded.encodings == {case.encoding}
    assert CANARY not in loaded.said
    tables = ("clients", "sessions", "clinics")
    n_bronze = sum(len(door.bronze(source, table)) for table in tables)
    assert n_bronze - n_before == case.n_loaded
    assert not list((door.home / "warehouse" / "tmp").glob("door-*"))
    shutil.rmtree(door.home / "quarantine" / source, ignore_errors=True)
    shutil.rmtree(door.home / "inbox" / source)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_the_one_of_the_table(page: str) -> None:
    assert (DOCS / page).read_text("utf-8") == rendered(page), (
        "run python tests/lib/door_cases.py"
    )
