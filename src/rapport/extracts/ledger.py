"""The ledger of releases ``extracts/ledger.jsonl``: every step of every request, chained.

    requested → built → approved | refused → released → superseded | expired | withdrawn

A request that the disclosure gate or a person refuses stays ``refused`` (privacy.md C1).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rapport.errors import RequestInvalid, WriterBusy
from rapport.files import private_folder
from rapport.privacy import append_audit
from rapport.privacy.chain import (
    ChainHead,
    append_entry,
    chain_entries,
    chain_head,
    verify_chain,
)

Event = Literal[
    "requested",
    "built",
    "approved",
    "refused",
    "released",
    "superseded",
    "expired",
    "withdrawn",
]
_FOLLOWS: dict[str, tuple[Event, ...]] = {
    "": ("requested",),
    "requested": ("built", "refused"),
    "built": ("approved", "refused"),
    "approved": ("approved", "released", "refused"),
    "refused": (),
    "released": ("superseded", "expired", "withdrawn"),
    "superseded": ("withdrawn",),
    "expired": ("withdrawn",),
    "withdrawn": (),
}


@dataclass(frozen=True)
class Standing:
    """Where one request stands, by its ledger entries, oldest first."""

    request_id: str
    entries: tuple[dict[str, Any], ...]

    @property
    def state(self) -> str:
        """The event of the last entry."""
        return str(self.entries[-1]["event"])

    @property
    def release_id(self) -> str | None:
        """The release, once there is one."""
        return next((e["release_id"] for e in reversed(self.entries) if e["release_id"]), None)  # fmt: skip

    def last(self, event: Event) -> dict[str, Any] | None:
        """Return the latest entry of an event."""
        return next((e for e in reversed(self.entries) if e["event"] == event), None)

    @property
    def was_released(self) -> bool:
        """Whether a package of it left."""
        return self.last("released") is not None

    @property
    def is_out(self) -> bool:
        """Whether a package of it is with its researcher and was not withdrawn."""
        return self.was_released and self.last("withdrawn") is None


def ledger_path(home: Path) -> Path:
    """Return where the ledger lies."""
    return home / "extracts" / "ledger.jsonl"


def ledger_head(home: Path) -> ChainHead | None:
    """Return the last entry's number and hash."""
    return chain_head(ledger_path(home))


def verify_ledger(home: Path) -> list[str]:
    """Return what is wrong with the ledger, in words; nothing when it is whole.

    A cut tail leaves a chain that is whole: the audit log holds every step too.
    """
    wrong = verify_chain(ledger_path(home), "release ledger")
    if not wrong:
        logged = sum(
            str(entry.get("action", "")).removeprefix("extract_") in _FOLLOWS
            for entry in chain_entries(home / "vault" / "audit.jsonl")
            if str(entry.get("action", "")).startswith("extract_")
        )
        held = len(chain_entries(ledger_path(home)))
        if held < logged:
            wrong.append(
                f"release ledger: {held} entries, and the audit log holds {logged}"
            )
    return wrong


def record(
    home: Path,
    event: Event,
    request_id: str,
    *,
    actor: str,
    digest: str,
    release_id: str | None = None,
    **more: Any,
) -> ChainHead:
    """Write one step into the ledger, and into the audit log.

    Raises:
        RequestInvalid: the step does not follow on the request's state (exit 2).
    """
    known = standings(home).get(request_id)
    state = known.state if known else ""
    if event not in _FOLLOWS[state]:
        raise RequestInvalid(
            f"{request_id} is {state or 'unknown'}: it cannot become {event}",
            next_step="rapport extract list",
        )
    fields = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "event": event,
        "request_id": request_id,
        "release_id": release_id,
        "actor": actor,
        "digest": digest,
        **more,
    }
    head = append_entry(ledger_path(home), fields)
    append_audit(home, f"extract_{event}", request_id, str(more.get("reason", "")))
    return head


def standings(home: Path) -> dict[str, Standing]:
    """Return where every request stands, in the order they came.

    Raises:
        RequestInvalid: the ledger is cut, altered or out of order (exit 2).
    """
    wrong = verify_ledger(home)
    if wrong:
        raise RequestInvalid(
            "\n".join(["the release ledger is not whole:", *wrong]),
            next_step="restore extracts/ledger.jsonl from its backup; do not edit it",
            reason="extract_ledger_broken",
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in chain_entries(ledger_path(home)):
        found.setdefault(entry["request_id"], []).append(entry)
    return {id_: Standing(id_, tuple(entries)) for id_, entries in found.items()}


def waiting_extracts(home: Path) -> list[str]:
    """Return the requests that are built and wait for a second person."""
    return [i for i, s in standings(home).items() if s.state == "built"]


def standing_of(home: Path, request_id: str) -> Standing:
    """Return where one request stands.

    Raises:
        RequestInvalid: there is none of this id (exit 2).
    """
    known = standings(home)
    if request_id not in known:
        raise RequestInvalid(
            "no request has this id", next_step="rapport extract list shows them"
        )
    return known[request_id]


@contextmanager
def extract_lock(home: Path) -> Iterator[None]:
    """Hold the one place from which extracts are built and released.

    Raises:
        WriterBusy: another process holds it (exit 5).
    """
    path = home / "state" / "extract.lock"
    private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise WriterBusy(
            "another extract is being built or released",
            next_step="wait until it ends, then run the command again",
        ) from None
    try:
        yield
    finally:
        os.close(handle)
