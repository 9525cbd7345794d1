"""The doorbell: it rings when something in the inbox is complete and quiet.

An event carries a count and a mark, never a name: whatever rang, ingest lists the inbox
against the ledger. This is the only module of ``src`` that imports Airflow, since the
triggerer loads triggers from installed packages, not from the DAG folder.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from rapport.ingest.inbox import SUCCESS, is_still_written


class InboxTrigger(BaseEventTrigger):
    """Ring when the listing of complete deliveries changed and then stood still.

    Args:
        directory: the inbox.
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
            "rapport.inbox_trigger.InboxTrigger",
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
        before: list[tuple[str, int, int]] | None = None
        waited = 0.0
        while True:
            now = await asyncio.to_thread(listing, Path(self.directory))
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


def listing(inbox: Path) -> list[tuple[str, int, int]]:
    """List complete deliveries and bare files, as hashes of names, sizes and times."""
    found = []
    for entry in sorted((*inbox.glob("*/*"), *inbox.glob(f"*/*/{SUCCESS}"))):
        if entry.name != SUCCESS and (entry.is_dir() or is_still_written(entry.name)):
            continue
        try:
            said = entry.stat()
        except OSError:
            continue
        name = hashlib.sha256(str(entry.relative_to(inbox)).encode()).hexdigest()
        found.append((name[:16], said.st_size, said.st_mtime_ns))
    return found
