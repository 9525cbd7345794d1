"""The doorbells: they ring when something that was dropped is complete and quiet.

An event carries a count and a mark, never a name: whatever rang, ingest lists the inbox
against the ledger, and what lies in ``extracts/requests`` is asked for by its content. This
is the only module of ``src`` that imports Airflow, since the triggerer loads triggers from
installed packages, not from the DAG folder.
"""

from __future__ import annotations

import asyncio
import hashlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from rapport.ingest.inbox import SUCCESS, is_still_written

Listing: TypeAlias = list[tuple[str, int, int]]


class _Doorbell(BaseEventTrigger):
    """Ring when the listing of a folder changed and then stood still.

    Args:
        directory: the folder.
        poll_s: seconds between two looks.
        max_wait_s: seconds after which a steady trickle rings all the same.
    """

    def __init__(
        self, directory: str, poll_s: float = 2.0, max_wait_s: float = 30.0
    ) -> None:
        super().__init__()
        self.directory = directory
        self.poll_s = poll_s
        self.max_wait_s = max_wait_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as the triggerer stores them."""
        return (
            f"rapport.inbox_trigger.{type(self).__name__}",
            {
                "directory": self.directory,
                "poll_s": self.poll_s,
                "max_wait_s": self.max_wait_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event each time; the mark of the last ring outlives a restart."""
        store = getattr(self, "asset_state_store", None)
        rung = await store.aget("rung", "") if store else ""
        before: Listing | None = None
        waited = 0.0
        while True:
            now = await asyncio.to_thread(self.listing, Path(self.directory))
            mark = hashlib.sha256(repr(now).encode()).hexdigest()
            if now and mark != rung:
                if now == before or waited >= self.max_wait_s:
                    yield TriggerEvent({"n_complete": len(now), "mark": mark[:12]})
                    rung, waited = mark, 0.0
                    if store:
                        await store.aset("rung", mark)
                else:
                    waited += self.poll_s
            before = now
            await asyncio.sleep(self.poll_s)

    @staticmethod
    @abstractmethod
    def listing(folder: Path) -> Listing:
        """List what counts as complete, as hashes of names, sizes and times."""


class InboxTrigger(_Doorbell):
    """Ring for deliveries: complete folders, and files dropped without one."""

    @staticmethod
    def listing(folder: Path) -> Listing:
        """List complete deliveries and bare files, as hashes of names, sizes and times."""
        return _listed(
            folder,
            (
                entry
                for entry in (*folder.glob("*/*"), *folder.glob(f"*/*/{SUCCESS}"))
                if entry.name == SUCCESS
                or not (entry.is_dir() or is_still_written(entry.name))
            ),
        )


class RequestTrigger(_Doorbell):
    """Ring for requests of research extracts: ``extracts/requests/*.toml``."""

    @staticmethod
    def listing(folder: Path) -> Listing:
        """List request files, as hashes of names, sizes and times."""
        return _listed(folder, folder.glob("*.toml"))


def _listed(folder: Path, entries: Iterable[Path]) -> Listing:
    found = []
    for entry in sorted(entries):
        try:
            said = entry.stat()
        except OSError:
            continue
        name = hashlib.sha256(str(entry.relative_to(folder)).encode()).hexdigest()
        found.append((name[:16], said.st_size, said.st_mtime_ns))
    return found
