"""The clinic's own instruments are checked before anything is built with them."""

import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from rapport.errors import SettingsError
from rapport.mapping import read_own_instruments
from rapport.mapping.registry import TABLES
from rapport.settings import load_settings

SEEDS = ROOT / "dbt_project" / "seeds"
OWN = ROOT / "tests" / "fixtures" / "own_instrument"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the example, to be spoilt."""
    return shutil.copytree(OWN, tmp_path / "instruments")


def spoil(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_the_columns_are_those_of_the_seeds() -> None:
    for name, columns in TABLES.items():
        with (SEEDS / f"{name}.csv").open(encoding="utf-8") as file:
            assert list(columns) == file.readline().strip().split(","), name


def test_an_absent_folder_adds_nothing(tmp_path: Path) -> None:
    own = read_own_instruments(tmp_path / "instruments", SEEDS)
    assert own.codes == own.items == frozenset()


def test_codes_aliases_and_items_are_known_to_the_door(folder: Path) -> None:
    own = read_own_instruments(folder, SEEDS)
    assert own.codes == {"SLEEP-4", "SLEEP"}
    assert own.items == {"N1", "N2", "D1", "D2"}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("instrument.csv", "SLEEP-4,", "PHQ-9,", "one that the project ships"),
        ("instrument_alias.csv", "SLEEP,", "WAI-SRT,", "one that the project ships"),
        ("instrument.csv", "outcome", "form", "column domain is none of"),
        ("instrument.csv", ",0,3,false", ",0,x,false", "column item_max is no integer"),
        ("instrument.csv", ",0,3,false", ",3,3,false", "item_min must be less"),
        ("instrument.csv", "citation", "source", "no such column: source"),
        ("instrument_scale.csv", ",night,2", ",night,3", "not its number of items"),
        ("instrument_scale.csv", "total,4", "whole,4", "no total"),
        ("instrument_scale.csv", "sum,0,0,6", "sum,,0,6", "max_missing is empty"),
        (
            "instrument_item.csv",
            "N1,false",
            "N1,no",
            "column is_reversed is no boolean",
        ),
        (
            "instrument_item.csv",
            "SLEEP-4,night",
            "NAP,night",
            "is not in instrument.csv",
        ),
        ("instrument_item.csv", "night,N1", "night,N2", "two rows have the same"),
        ("instrument_item.csv", "night,N1", "night,01", "without leading zeros"),
        ("instrument_rater.csv", "client", "parent", "column rater is none of"),
    ],
)
def test_a_fault_is_named_with_its_place(
    folder: Path, name: str, old: str, new: str, said: str
) -> None:
    spoil(folder, name, old, new)
    with pytest.raises(SettingsError, match=said):
        read_own_instruments(folder, SEEDS)


def test_an_unknown_file_is_named(folder: Path) -> None:
    (folder / "items.csv").write_text("x\n")
    with pytest.raises(SettingsError, match=r"items\.csv: no such table"):
        read_own_instruments(folder, SEEDS)


def test_a_changed_instrument_changes_the_settings_digest(tmp_path: Path) -> None:
    environ = {"RAPPORT_HOME": str(tmp_path)}
    without = load_settings(environ).digest()
    shutil.copytree(OWN, tmp_path / "instruments")
    added = load_settings(environ).digest()
    spoil(tmp_path / "instruments", "instrument.csv", ",3,6,5,", ",4,6,5,")
    assert len({without, added, load_settings(environ).digest()}) == 3
