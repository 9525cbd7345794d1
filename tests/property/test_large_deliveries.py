"""A delivery above the size at which the engine does more is taken in like a small one.

Above a threshold the door keys ids in the engine, numbers spellings and sorts by rank, so
that millions of rows cost little. What comes of a delivery may not depend on its size:
every case of the door's tables, every vendor's sample and random, spoilt clinics go
through two doors with one key, one of which holds every delivery for a large one.
"""

import csv
import io
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Home
from lib.door import InProcess, Loaded
from lib.door_cases import DRIFT, ENCODINGS, HOSTILE, Case
from oracle.compare import random_subjects
from rapport.ingest import delimited, load
from rapport.mapping import BY_NAME
from rapport.privacy import Vault

FIXTURES = ROOT / "tests" / "fixtures"
# Sample -> the preset that reads it, where that has another name.
VENDORS = {
    "epic_clarity": "", "fhir_forms": "fhir_r4", "fhir_r4": "", "omop_cdm": "",
    "omop_forms": "omop_cdm", "pmhc_mds": "", "redcap": "", "redcap_long": "redcap",
    "simplepractice": "", "synthea_csv": "", "therapynotes": "", "wide_measures": "",
    "wide_measures_by_session": "wide_measures",
}  # fmt: skip
CASES = [case for case in (*ENCODINGS, *DRIFT, *HOSTILE) if case.lay is None]
SEEDS = range(6, 66, 12)


@dataclass(frozen=True)
class Doors:
    """Two doors with one key."""

    small: InProcess
    large: InProcess

    def map(self, source: str, toml: str) -> None:
        for door in (self.small, self.large):
            folder = door.home / "mappings"
            folder.mkdir(exist_ok=True)
            (folder / f"{source}.toml").write_text(toml)

    def deliver(self, source: str, delivery: str, files: dict[str, Any]) -> Loaded:
        """Take a delivery through both; what is told of it must be the same."""
        said = self.small.deliver(source, delivery, files)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "_SMALL_BYTES", 0)
            patch.setattr(delimited, "_SMALL_BYTES", 0)
            assert self.large.deliver(source, delivery, files) == said
        return said

    def require_equal(self, source: str) -> None:
        """Hold every row of bronze against the other's; both lie sorted alike.

        Rows of one key and one line (items that stood in one row) have no order.
        """
        small, large = _bronze(self.small, source), _bronze(self.large, source)
        assert set(large) == set(small)
        for path, (names, rows) in small.items():
            assert large[path][0] == names
            assert sorted(large[path][1], key=repr) == sorted(rows, key=repr), path
            places = [n for n, (name, _) in enumerate(names) if name in _order(path)]
            lie = [[[row[n] for n in places] for row in side[path][1]] for side in (small, large)]  # fmt: skip
            assert lie[0] == lie[1], path


def _order(path: str) -> tuple[str, str, str]:
    """Return what rows of a bronze file are sorted by."""
    return BY_NAME[path.split("/")[2]].sort_key, "file_no", "row_no"


def _bronze(door: InProcess, source: str) -> dict[str, tuple[list, list[tuple]]]:
    """Return column names and types, and rows as they lie, of each file of bronze."""
    found = {}
    with duckdb.connect() as con:
        for path in sorted((door.home / "bronze" / source).rglob("*.parquet")):
            con.execute("from read_parquet(?)", [str(path)])
            names = [column[:2] for column in con.description]
            found[path.relative_to(door.home).as_posix()] = (names, con.fetchall())
    return found


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    for name in ("small", "large"):
        Home(folder / name).lay_key()
    limits = {"max_inflated_gb": 0.08}
    with (
        InProcess(folder / "small", **limits) as small,
        InProcess(folder / "large", **limits) as large,
    ):
        yield Doors(small, large)
        people = [sorted(Vault(door.home).people()) for door in (small, large)]
        assert people[0] == people[1] != []


@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_case_of_the_doors_tables(doors: Doors, number: int) -> None:
    case: Case = CASES[number]
    source = f"case{number}"
    doors.map(source, f'extends = "canonical"\n{case.mapping}')
    if case.before is not None:
        doors.deliver(source, "d1", case.before)
    doors.deliver(source, "d2", case.files)
    doors.require_equal(source)


@pytest.mark.parametrize("sample", VENDORS)
def test_each_vendors_sample(doors: Doors, sample: str) -> None:
    files = {
        path.name: path.read_bytes()
        for path in sorted((FIXTURES / sample).iterdir())
        if path.is_file() and path.name != "SOURCE.md"
    }
    source = VENDORS[sample] or sample
    said = doors.deliver(source, sample, files)
    assert said.rows["loaded"] > 0
    doors.require_equal(source)


def test_random_clinics_with_spoilt_cells_and_rows(doors: Doors) -> None:
    n_quarantined = n_repeated = 0
    for subject in random_subjects(list(SEEDS)):
        rng = random.Random(subject.name)
        source = f"random{subject.name}"
        doors.map(source, 'extends = "canonical"\n')
        for delivery in subject.deliveries:
            files = {
                f"{table}.csv": _spoilt(table, rows, rng)
                for table, rows in delivery.tables.items()
            }
            said = doors.deliver(source, delivery.id, files)
            n_quarantined += said.rows["quarantined"]
            n_repeated += said.notices.get("duplicate_id", 0)
        doors.require_equal(source)
        for door in (doors.small, doors.large):
            shutil.rmtree(door.home / "inbox" / source)
    assert n_quarantined > 20
    assert n_repeated > 20


def _spoilt(table: str, rows: list[dict[str, str]], rng: random.Random) -> str:
    """Write a table with rows that come twice, and cells that are not as they should be."""
    header = [column.name for column in BY_NAME[table].columns]
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    for row in [*rows, *rng.sample(rows, min(2, len(rows)))]:
        if rng.random() < 0.1:
            name = rng.choice(header)
            row = row | {name: rng.choice(_SPOILS).replace("{}", row.get(name) or "")}
        writer.writerow(row)
    return out.getvalue()


_SPOILS = (
    "", " {} ", "{}é", "Zoë", "null", "N/A", "-", "0", "1e3", "2026-13-45", "{} {}",
    'say "{}"', "a, b", "x" * 300, "２", "\u00a0{}\u00a0", "TRUE", "{};{}", "=1+1",
)  # fmt: skip
