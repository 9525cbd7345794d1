"""The doorbells ring once for what is complete and quiet, and say no name."""

import asyncio
from pathlib import Path

import pytest

from rapport.inbox_trigger import InboxTrigger, RequestTrigger


class Store:
    """What Airflow keeps for a trigger between two of its lives."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def aget(self, name: str, default: str) -> str:
        return self.kept.get(name, default)

    async def aset(self, name: str, value: str) -> None:
        self.kept[name] = value


def rings(trigger: InboxTrigger | RequestTrigger, store: Store) -> list[dict]:
    """Return what a trigger rings until it has looked in vain for a while."""
    trigger.asset_state_store = store
    heard: list[dict] = []

    async def listen() -> None:
        async for event in trigger.run():
            heard.append(event.payload)

    async def for_a_while() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listen(), timeout=0.3)

    asyncio.run(for_a_while())
    return heard


def test_a_request_rings_once_and_not_again_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("study = 'x'")
    store = Store()
    trigger = RequestTrigger(str(tmp_path), poll_s=0.01)
    (heard,) = rings(trigger, store)
    assert heard["n_complete"] == 1
    assert "a.toml" not in str(heard)
    assert rings(RequestTrigger(str(tmp_path), poll_s=0.01), store) == []
    (tmp_path / "b.toml").write_text("study = 'y'")
    assert len(rings(RequestTrigger(str(tmp_path), poll_s=0.01), store)) == 1


def test_what_is_no_request_or_was_taken_does_not_ring(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a.toml").write_text("study = 'x'")
    (tmp_path / "a.toml.part").write_text("study")
    assert rings(RequestTrigger(str(tmp_path), poll_s=0.01), Store()) == []


def test_a_folder_that_is_not_there_yet_does_not_ring(tmp_path: Path) -> None:
    assert rings(RequestTrigger(str(tmp_path / "no"), poll_s=0.01), Store()) == []


def test_a_delivery_rings_once_its_mark_is_there(tmp_path: Path) -> None:
    delivery = tmp_path / "north" / "2026-06-30"
    delivery.mkdir(parents=True)
    (delivery / "clients.csv").write_text("client_id\n1\n")
    store = Store()
    assert rings(InboxTrigger(str(tmp_path), poll_s=0.01), store) == []
    (delivery / "_SUCCESS").touch()
    (heard,) = rings(InboxTrigger(str(tmp_path), poll_s=0.01), store)
    assert heard["n_complete"] == 1


def test_a_steady_trickle_rings_all_the_same(tmp_path: Path) -> None:
    """A listing that never stands still would otherwise never ring."""

    class Trickling(RequestTrigger):
        n_looks = 0

        @staticmethod
        def listing(folder: Path) -> list[tuple[str, int, int]]:
            Trickling.n_looks += 1
            return [("a", Trickling.n_looks, 0)]

    heard = rings(Trickling(str(tmp_path), poll_s=0.01, max_wait_s=0.03), Store())
    assert heard


def test_each_is_stored_under_its_own_name() -> None:
    path, arguments = RequestTrigger("/x", poll_s=1.0).serialize()
    assert path == "rapport.inbox_trigger.RequestTrigger"
    assert RequestTrigger(**arguments).serialize() == (path, arguments)
