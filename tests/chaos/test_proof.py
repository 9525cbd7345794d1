"""The proof in short: a night killed and contended for, files damaged, no room, readers.

Each is repeated many times by a program of its own in ``make prove``
(``tests/chaos/prove_*.py``); what came of that is in docs/reference/reliability.md.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Home
from lib.contenders import Contest, contest, moments, same_moment, taken_in_once
from lib.damaged_home import damage_everything
from lib.full_night import STEPS, is_held, night_lines
from lib.nights import Reader, kill_night, left_behind
from lib.readers import read_while_publishing
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights, canaries_outside, two_nights


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> TwoNights:
    return two_nights(tmp_path_factory.mktemp("proof") / "nights")


@dataclass(frozen=True)
class Survivor:
    """A home whose night was killed three times, then started twice at one moment."""

    home: Home
    reader: Reader
    n_killed: int
    other_code: int | None
    found: Contest
    tables: dict[str, list[tuple]]


@pytest.fixture(scope="module")
def survivor(nights: TwoNights, tmp_path_factory: pytest.TempPathFactory) -> Survivor:
    home = nights.disturbed_home(tmp_path_factory.mktemp("survivor") / "home")
    rng = random.Random(20261124)
    with Reader(home.path) as reader:
        killed = [
            kill_night(
                home.path, TONIGHT, rng.uniform(2, 0.7 * nights.night_cpu_s), whom
            )
            for whom in ("leader", "child", "group")
        ]
        night, code = same_moment(home)
        found = contest(home, night, moments(nights.night_s, 4, "contenders"))
    assert night.returncode == 0
    return Survivor(home, reader, sum(killed), code, found, published(home.path))


def test_a_killed_night_loses_nothing_and_no_reader_notices(
    nights: TwoNights, survivor: Survivor
) -> None:
    assert survivor.n_killed > 0  # a machine may have become faster meanwhile
    assert survivor.tables == nights.expected
    assert survivor.reader.failures == []
    assert survivor.reader.n_looks > 20
    assert survivor.reader.seen <= nights.generations
    assert left_behind(survivor.home.path) == []


def test_of_two_nights_at_once_one_runs_and_other_writers_are_told(
    survivor: Survivor,
) -> None:
    assert survivor.other_code == 5
    assert survivor.found.n_met > 0
    assert survivor.found.faults == []


def test_what_is_dropped_during_a_build_is_taken_in_once_and_later(
    survivor: Survivor,
) -> None:
    inbox = survivor.home.path / "inbox" / "canonical"
    late = [path.name for path in inbox.glob("late-*")]
    assert late
    assert taken_in_once(survivor.home)
    assert canaries_outside(survivor.home.path) == []


def test_every_damaged_store_is_named_and_made_whole(
    nights: TwoNights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night that mends them runs on a machine of another zone."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    home = nights.published_home(tmp_path / "home")
    found = damage_everything(home, nights.expected, "short", n_bronze=1)
    assert {tried.split()[0] for tried in found.tried} == {
        "bronze", "state", "snapshot", "history", "kept", "candidate",
    }  # fmt: skip
    assert found.faults == []


def test_a_full_disk_at_each_step_is_told_and_the_step_then_completes(
    nights: TwoNights, tmp_path: Path
) -> None:
    lines = night_lines(nights, tmp_path, 0)
    assert [line["step"] for line in lines] == list(STEPS)
    assert all(line["is_told"] for line in lines)
    assert [line for line in lines if not is_held(line)] == []
    assert published(tmp_path / "out") == nights.expected


def test_readers_during_publishes_each_see_one_snapshot(
    nights: TwoNights, tmp_path: Path
) -> None:
    home = nights.published_home(tmp_path / "home")
    seen = read_while_publishing(home, n_readers=3, n_publishes=3)
    assert seen["failures"] == []
    assert seen["fewest_looks"] > 0
    assert seen["most_marks"] > 1
