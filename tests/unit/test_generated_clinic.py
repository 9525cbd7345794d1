"""What a generated clinic's exports hold (``rapport demo generate``)."""

import csv
from datetime import date
from pathlib import Path

import pytest

from rapport.synthetic import generate

UNTIL = date(2026, 6, 30)


def rows(made: Path, table: str) -> list[dict[str, str]]:
    found = []
    for path in sorted(made.glob(f"inbox/canonical/*/{table}.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += csv.DictReader(file)
    assert found
    return found


@pytest.fixture(scope="module")
def weekly(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("weekly")
    generate(40, 7, made, UNTIL)
    return made


def test_forms_are_filled_in_in_one_week_of_so_many(weekly, tmp_path) -> None:
    generate(40, 7, tmp_path, UNTIL, forms_every=4)
    for table in ("clients", "episodes", "sessions"):
        assert rows(tmp_path, table) == rows(weekly, table)
    few, many = rows(tmp_path, "measure_items"), rows(weekly, "measure_items")
    assert 0.25 < len(few) / len(many) < 0.4  # the first week of an episode always asks


def test_same_clients_seed_and_until_are_the_same_bytes(weekly, tmp_path) -> None:
    generate(40, 7, tmp_path, UNTIL)
    for path in sorted(weekly.rglob("*.csv")):
        assert (tmp_path / path.relative_to(weekly)).read_bytes() == path.read_bytes()
