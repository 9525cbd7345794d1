"""``rapport purge client``: one person out of every store, proved by a search (A5).

Each step can be repeated and changes nothing the second time. What was collected is kept
in ``vault/purges/`` until the proof holds, so that the same command goes on after a kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rapport import night, observe
from rapport.errors import DiskFull, GateRefused, RapportError, UsageError, is_disk_full
from rapport.extracts.erasure import (
    forget_persons,
    releases_holding,
    supersede_releases,
)
from rapport.ingest.inbox import Found
from rapport.ingest.rewrite import Person, Rewritten, rewrite_folder
from rapport.mapping import BY_NAME, load_mapping
from rapport.mapping.vendor import normal_header
from rapport.privacy import KeyRing, Vault, append_audit
from rapport.privacy.scan import SHORTEST, Hit, search_folder
from rapport.privacy.tombstones import add_tombstones, read_tombstones
from rapport.settings import Settings
from rapport.state import ControlState, Delivery, writer_lock
from rapport.warehouse.connections import (
    built_paths,
    published_path,
    temp_folder,
)
from rapport.warehouse.erase import (
    erase_from_bronze,
    erase_from_tables,
    keys_of_person,
    same_person,
)
from rapport.warehouse.tables import table_rows

_IDENTIFYING = ("client", "administration")


@dataclass(frozen=True)
class Collected:
    """What names the person, in memory and in the vault until the proof holds."""

    seq: int
    began_at: str
    marks: tuple[str, ...]
    ids: tuple[tuple[str, str], ...]  # (source, client id)
    uids: tuple[str, ...]
    keys: dict[str, list[str]]
    was_published: bool
    # Told before anything is altered, so that a second try tells them too.
    releases: list[dict[str, str]]


@dataclass(frozen=True)
class Purged:
    """What an erasure came to: counts, places and releases; no identifier."""

    seq: int
    n_records: int
    n_sources: int
    counts: dict[str, int]
    releases: tuple[dict[str, str], ...]
    left: tuple[str, ...]
    is_published: bool


def purge_client(
    settings: Settings, source: str, client_id: str, reason: str
) -> Purged:
    """Erase one person everywhere below RAPPORT_HOME, and search for what is left.

    Records that merges and links say are the same person go with it. Backups and released
    extracts are outside: releases are listed.

    Raises:
        UsageError: no such client, or one that is erased already (exit 2).
        DiskFull: no room; the same command goes on.
    """
    client_id = client_id.strip()
    if len(reason.strip()) < 5 or (client_id and client_id in reason):
        raise UsageError(
            "a reason of at least 5 characters is needed, without the client's id: it is"
            " kept in the audit log"
        )
    with writer_lock(settings.home):
        keys = night.open_keys(settings)
        try:
            collected = _collected(settings, keys, source, client_id)
            return _purge(settings, keys, collected, reason)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull("erasing", again="the same command") from None
            raise


def _purge(
    settings: Settings, keys: KeyRing, collected: Collected, reason: str
) -> Purged:
    state, vault = ControlState(settings.home), Vault(settings.home)
    with observe.step("purge", "rewrite inbox, quarantine and bronze"):
        add_tombstones(settings.home, collected.marks)
        delivered, n_refused = _erase_delivered(settings, state, keys, collected)
        every = {entity: set(found) for entity, found in collected.keys.items()}
        hashes, n_rows, n_bytes = erase_from_bronze(settings, state, every)
        counts = {
            "delivered_files": delivered.n_files,
            "delivered_files_removed": delivered.n_files_removed,
            "delivered_rows": delivered.n_rows,
            "delivered_bytes": delivered.n_bytes,
            "refused_rows": n_refused,
            "bronze_files": len(hashes),
            "bronze_rows": n_rows,
            "bronze_bytes": n_bytes,
        }
        counts["signals"] = state.erase_signals(
            collected.keys["client"], datetime.now(UTC)
        )
        state.erase_first_seen(collected.keys.get("derived", []))
        state.rewrite()
    held = [release["release_id"] for release in collected.releases]
    supersede_releases(settings.home, held)
    counts["cohort_files"] = forget_persons(settings.home, collected.uids)
    _drop_built(settings)
    vault.erase(collected.keys["client"], collected.keys.get("episode", ()))
    is_published = _rebuild(settings, collected)
    with observe.step("purge", "search for what is left"):
        left, scanned = _left(settings, collected)
    proof = {
        "seq": collected.seq,
        "began_at": collected.began_at,
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_records": len(collected.ids),
        "counts": counts,
        "files": [
            {"before": before, "after": after}
            for before, after in [*delivered.hashes, *hashes]
        ],
        "scan": scanned,
        "releases": held,
    }
    if not left:
        _write_private(_proof_path(settings, collected.seq), proof)
        _pending_path(settings, collected.seq).unlink()
    append_audit(
        settings.home,
        "purge_client",
        f"p_{collected.seq}",
        reason if not left else f"not proved: {reason}",
    )
    return Purged(
        collected.seq,
        len(collected.ids),
        len({source for source, _ in collected.ids}),
        counts,
        tuple(collected.releases),
        tuple(left),
        is_published,
    )


# --- who it is ----------------------------------------------------------------------


def _collected(
    settings: Settings, keys: KeyRing, source: str, client_id: str
) -> Collected:
    """Collect what names the person; what a cut-off erasure collected is taken up."""
    marks = set(keys.tombstones(source, client_id))
    folder = settings.home / "vault" / "purges"
    for path in sorted(folder.glob("*.pending.json")):
        said = _read_collected(path)
        if marks.intersection(said.marks):
            return said
    state, vault = ControlState(settings.home), Vault(settings.home)
    mine = vault.named([keys.row_key("client", source, client_id)])
    if not mine:
        if marks.intersection(read_tombstones(settings.home)):
            raise UsageError(
                "this client was erased before; nothing of it is left",
                next_step="the proofs are in vault/purges/",
                reason="client_erased",
            )
        raise UsageError(
            "no such client in this source; nothing was changed",
            next_step="source is the folder below inbox/, the id as the export writes it",
            reason="client_unknown",
        )
    client_keys = same_person(settings, state, [mine[0][0]])
    people = vault.named(client_keys)
    of_person = keys_of_person(settings, state, client_keys)
    every_mark = {
        mark for _, of, id_, _ in people for mark in keys.tombstones(of, id_)
    } | {keys.tombstone_of_key(key) for key in of_person.get("administration", ())}
    done = [int(path.name.split(".")[0]) for path in folder.glob("*.json")]
    collected = Collected(
        max(done, default=0) + 1,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(sorted(every_mark)),
        tuple((of, id_) for _, of, id_, _ in people),
        tuple(uid for *_, uid in people),
        {entity: sorted(found) for entity, found in of_person.items()},
        published_path(settings).exists(),
        releases_holding(settings.home, [uid for *_, uid in people]),
    )
    _write_private(_pending_path(settings, collected.seq), asdict(collected))
    return collected


def _read_collected(path: Path) -> Collected:
    said: dict[str, Any] = json.loads(path.read_text("utf-8"))
    said["ids"] = tuple((source, id_) for source, id_ in said["ids"])
    said["marks"], said["uids"] = tuple(said["marks"]), tuple(said["uids"])
    return Collected(**said)


def _pending_path(settings: Settings, seq: int) -> Path:
    return settings.home / "vault" / "purges" / f"{seq}.pending.json"


def _proof_path(settings: Settings, seq: int) -> Path:
    return settings.home / "vault" / "purges" / f"{seq}.json"


def _write_private(path: Path, said: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    building = path.with_name(f"{path.name}.building")
    handle = os.open(building, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(said, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(building, path)


# --- what was delivered -------------------------------------------------------------


def _erase_delivered(
    settings: Settings, state: ControlState, keys: KeyRing, collected: Collected
) -> tuple[Rewritten, int]:
    """Rewrite the inbox and the quarantine of each of the person's sources."""
    total = Rewritten()
    n_refused = 0
    aside = temp_folder(settings) / "erase"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    known = {delivery.batch_id: delivery for delivery in state.deliveries()}
    for source in sorted({source for source, _ in collected.ids}):
        person = _person(settings, keys, collected, source)
        for folder in _folders(settings.home / "inbox" / source):
            _erase_delivery(
                settings, folder, source, person, keys, known, state, aside, total
            )
        for folder in _folders(settings.home / "quarantine" / source):
            gone = erase_from_tables(settings, folder, person.client_ids)
            for file, n in gone.items():
                state.count_erased_refusals(folder.name, file, n)
                n_refused += n
            _add(total, rewrite_folder(folder, person, aside))
    shutil.rmtree(aside, ignore_errors=True)
    return total, n_refused


def _erase_delivery(
    settings: Settings,
    folder: Path,
    source: str,
    person: Person,
    keys: KeyRing,
    known: dict[str, Delivery],
    state: ControlState,
    aside: Path,
    total: Rewritten,
) -> None:
    """Rewrite one delivery; the ledger goes on knowing it by its new bytes."""
    found = Found(source, folder.name, folder)
    batch = keys.batch_id(source, folder.name)
    delivery = known.get(batch)
    # A kill may have come between the rewrite and the ledger; the mark is made first.
    mark = aside.parent / f"{batch}.rewriting"
    was_same = delivery is not None and (
        mark.exists()
        or found.stat_mark() == delivery.stat_mark
        or found.digest() == delivery.digest
    )
    if was_same:
        mark.touch()
    done = rewrite_folder(folder, person, aside)
    done.n_rows += sum(
        erase_from_tables(
            settings, folder, person.client_ids, person.columns, person.is_part
        ).values()
    )
    if was_same:
        state.remember_bytes(batch, found.digest(), found.stat_mark())
    mark.unlink(missing_ok=True)
    _add(total, done)


def _add(total: Rewritten, more: Rewritten) -> None:
    total.n_files += more.n_files
    total.n_rows += more.n_rows
    total.n_files_removed += more.n_files_removed
    total.n_bytes += more.n_bytes
    total.hashes += more.hashes


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.is_symlink())


def _person(
    settings: Settings, keys: KeyRing, collected: Collected, source: str
) -> Person:
    parts = frozenset(collected.keys.get("administration", ()))
    return Person(
        frozenset(id_ for of, id_ in collected.ids if of == source),
        lambda text: keys.row_key("administration", source, text) in parts,
        _id_columns(settings, source),
    )


def _id_columns(settings: Settings, source: str) -> dict[str, str]:
    """Return which headers of a source hold clients and forms, as its mapping says."""
    mapping = load_mapping(settings.home, source)
    found: dict[str, str] = {}
    for part in (*mapping.file, *mapping.preset) if mapping else ():
        for name in part.tables():
            for column in BY_NAME[name].columns:
                if column.kind != "id" or column.of not in _IDENTIFYING:
                    continue
                for reference in part.sources_of(column.name):
                    for one in reference.split("|"):
                        header = one.removesuffix("?").rpartition(".")[2]
                        if not one.startswith("="):
                            found[normal_header(header)] = column.of
    return found


# --- what is built ------------------------------------------------------------------


def _drop_built(settings: Settings) -> None:
    """Remove what was built with the person: history, working files, digests."""
    shutil.rmtree(published_path(settings).parent / "history", ignore_errors=True)
    for path in built_paths(settings):
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
    shutil.rmtree(settings.home / "digest", ignore_errors=True)


def _rebuild(settings: Settings, collected: Collected) -> bool:
    """Publish anew without the person; a snapshot that still shows it is removed."""
    if not collected.was_published:
        return False
    published = [
        run for run in ControlState(settings.home).runs() if run.outcome == "published"
    ]
    last = published[-1] if published else None
    run_id = night.start_run(
        settings, last.as_of if last else None, last.known_on if last else None
    )
    try:
        for name, label in night.STEPS.items():
            with observe.step(name, label):
                night.STEP_FUNCTIONS[name](settings, run_id)
    except GateRefused:
        published_path(settings).unlink(missing_ok=True)
        shutil.rmtree(settings.home / "dashboard", ignore_errors=True)
        return False
    except RapportError:
        published_path(settings).unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(published_path(settings).parent / "history", ignore_errors=True)
    return True


# --- the proof ----------------------------------------------------------------------


def _left(settings: Settings, collected: Collected) -> tuple[list[str], dict[str, int]]:
    """Search everything for every collected value; return the files that hold one.

    Source ids shorter than the search can tell from chance are looked for in rows alone,
    by the rewriting itself.
    """
    keys = {key for found in collected.keys.values() for key in found}
    values = sorted(keys | set(collected.uids))
    ids = sorted({id_ for _, id_ in collected.ids if len(id_) >= SHORTEST})
    named = {f"key {n}": value for n, value in enumerate(values)}
    named |= {f"id {n}": value for n, value in enumerate(ids)}
    found = search_folder(
        settings.home,
        named,
        table_rows,
        whole=[f"id {n}" for n in range(len(ids))],
        aside=temp_folder(settings),
    )
    own = _pending_path(settings, collected.seq).relative_to(settings.home).as_posix()
    hits: list[Hit] = [hit for hit in found.hits if hit.path != own]
    return sorted({hit.path for hit in hits}), {
        "n_values": len(named),
        "n_short_ids": len({id_ for _, id_ in collected.ids}) - len(ids),
        "n_files": found.n_files,
        "n_rows": found.n_rows,
        "n_hits": len(hits),
        "n_undecoded": len(found.undecoded),
    }


def opaque_place(path: str) -> str:
    """Return a place that may be told: delivered files are named by people."""
    parts = path.split("/")
    if parts[0] not in ("inbox", "quarantine"):
        return path
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{'/'.join(parts[:2])}/(sha256 of its path: {digest})"
