"""Every attack of privacy.md F on an extract: it succeeds without its control, and not with it."""

from collections.abc import Callable

import pytest
from pycanon import anonymity

from lib.extract_attacks import (
    ATTACKS,
    PAGE,
    QIS,
    Attack,
    Stage,
    Tried,
    clinic_groups,
    lay_stage,
    rendered,
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return lay_stage(tmp_path_factory.mktemp("attacks") / "home")


@pytest.fixture(scope="module")
def tried(stage: Stage) -> Callable[[Attack], Tried]:
    """Return what came of an attack; each is run once."""
    known: dict[str, Tried] = {}

    def run(attack: Attack) -> Tried:
        if attack.name not in known:
            known[attack.name] = attack.run(stage)
        return known[attack.name]

    return run


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.run.__name__)
def test_an_attack_succeeds_without_its_control_and_not_with_it(
    attack: Attack, tried: Callable[[Attack], Tried]
) -> None:
    found = tried(attack)
    assert found.succeeds_off, found.off
    assert not found.succeeds_on, found.on


def test_the_page_shows_what_came_of_every_attack(
    tried: Callable[[Attack], Tried],
) -> None:
    """When it is stale: ``make docs``."""
    assert PAGE.read_text("utf-8") == rendered({a.name: tried(a) for a in ATTACKS})


def test_another_library_counts_the_same_k_and_l_on_the_files(stage: Stage) -> None:
    """pycanon reads the released CSV; empty cells are filled first, as it drops them."""
    import pandas as pd

    data = stage.folder / "data"
    clients = pd.read_csv(data / "clients.csv", dtype=str)
    names = [name for name in QIS if name in clients]
    assert len(names) >= 2
    assert anonymity.k_anonymity(clients, names) == stage.report["k_min"] >= 11
    episodes = pd.read_csv(data / "episodes.csv", dtype=str).fillna("none")
    both = clients.merge(episodes, on="client_id")
    for secret in ("pattern", "dropout"):
        assert "none" not in set(both[secret])
        found = anonymity.l_diversity(both, names, [secret])
        assert found == stage.report["l_min"][secret] >= 2


def test_who_works_in_two_small_clinics_is_one_therapist_of_their_pool() -> None:
    rows = [("b", "t1", 30), ("b", "t2", 30), ("c", "t1", 30), ("c", "t2", 30)]
    assert clinic_groups(rows) == {"b": None, "c": None}
    more = [("b", "t1", 30), ("b", "t2", 30), ("c", "t2", 10), ("c", "t3", 30)]
    assert clinic_groups(more) == {"b": "other units", "c": "other units"}
