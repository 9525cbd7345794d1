"""``rapport purge client``: one person out of every store, proved by a search (A5).

Each step can be repeated and changes nothing the second time. What was collected is kept
in ``vault/purges/``, sealed, until the proof holds, so that the same command goes on after
a kill.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rapport import night, observe
from rapport.errors import DiskFull, GateRefused, RapportError, UsageError, is_disk_full
from rapport.extracts.erasure import (
    forget_persons,
    releases_holding,
    supersede_releases,
)
from rapport.ingest.inbox import Found, is_plain_file
from rapport.ingest.load import Door
from rapport.ingest.rewrite import (
    IdPart,
    IdRule,
    Person,
    rewrite_file,
    rewrite_folder,
)
from rapport.mapping import BY_NAME, load_mapping
from rapport.mapping.vendor import FileMapping, normal_header
from rapport.privacy import KeyRing, Vault, append_audit
from rapport.privacy.at_rest import disk_keys, is_sealed, keep_file, kept_file
from rapport.privacy.purges import (
    Change,
    Collected,
    Journal,
    forget_proved,
    next_seq,
    seal,
    settle,
    unseal,
)
from rapport.privacy.scan import SHORTEST, search_folder
from rapport.privacy.tombstones import add_tombstones, read_tombstones
from rapport.settings import Settings
from rapport.state import ControlState, Delivery, writer_lock
from rapport.warehouse.connections import (
    built_paths,
    leave_plain_folder,
    plain_folder,
    published_path,
)
from rapport.warehouse.erase import (
    erase_from_bronze,
    erase_from_tables,
    keys_of_person,
    same_person,
)
from rapport.warehouse.tables import files_with_short_ids, table_reader

_IDENTIFYING = ("client", "administration", "episode", "session", "goal")


@dataclass(frozen=True)
class Purged:
    """What an erasure came to: counts, places and releases; no identifier."""

    seq: int
    n_records: int
    n_sources: int
    counts: dict[str, int]
    releases: tuple[dict[str, str], ...]
    left: tuple[str, ...]
    unread: tuple[str, ...]
    is_published: bool

    @property
    def is_proved(self) -> bool:
        """Tell whether every file was read and none holds a value."""
        return not self.left and not self.unread


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
    journal = Journal(settings.home, collected.seq)
    with observe.step("purge", "rewrite inbox, quarantine and bronze"):
        add_tombstones(settings.home, collected.marks)
        _erase_delivered(settings, state, keys, collected, journal)
        every = {entity: set(found) for entity, found in collected.keys.items()}
        erase_from_bronze(settings, state, every, partial(journal.plan, "bronze"))
        n_signals = state.erase_signals(collected.keys["client"], datetime.now(UTC))
        derived = collected.keys.get("derived", [])
        state.erase_first_seen(derived)
        state.rewrite()
    held = [release["release_id"] for release in collected.releases]
    supersede_releases(settings.home, held)
    n_cohorts = forget_persons(settings.home, collected.uids)
    _drop_built(settings)
    # An episode that the builds made of sessions may have a subject of its own too.
    vault.erase(
        collected.keys["client"], {*collected.keys.get("episode", ()), *derived}
    )
    is_published = _rebuild(settings, collected)
    with observe.step("purge", "search for what is left"):
        found = _left(settings, state, keys, collected, journal)
    changes = journal.changes()
    counts = _counts(changes) | {"signals": n_signals, "cohort_files": n_cohorts}
    done = Purged(
        collected.seq,
        len(collected.ids),
        len({source for source, _ in collected.ids}),
        counts,
        tuple(collected.releases),
        found.left,
        found.unread,
        is_published,
    )
    proof = {
        "seq": collected.seq,
        "began_at": collected.began_at,
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_records": len(collected.ids),
        "counts": counts,
        "files": [
            {"before": change.before, "after": change.after} for change in changes
        ],
        "scan": found.counts,
        "releases": held,
    }
    # Before the proof: killed between, the same command goes on and logs once more, where
    # the other way round an erasure could stand in no log.
    append_audit(
        settings.home,
        "purge_client",
        f"p_{collected.seq}",
        reason if done.is_proved else f"not proved: {reason}",
    )
    if done.is_proved:
        settle(settings.home, collected.seq, proof)
    return done


def _counts(changes: Sequence[Change]) -> dict[str, int]:
    """Return what was rewritten over all tries, by kind of store."""
    counts = {"delivered_files_removed": sum(not c.after for c in changes)}
    for kind in ("delivered", "refused", "bronze"):
        mine = [change for change in changes if change.kind == kind]
        counts[f"{kind}_files"] = sum(bool(change.after) for change in mine)
        counts[f"{kind}_rows"] = sum(change.n_rows for change in mine)
        counts[f"{kind}_bytes"] = sum(change.n_bytes for change in mine)
    return counts


# --- who it is ----------------------------------------------------------------------


def _collected(
    settings: Settings, keys: KeyRing, source: str, client_id: str
) -> Collected:
    """Collect what names the person; what a cut-off erasure collected is taken up."""
    forget_proved(settings.home)
    begun = unseal(settings.home, keys, source, client_id)
    if begun is not None:
        return begun
    marks = set(keys.tombstones(source, client_id))
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
    collected = Collected(
        next_seq(settings.home),
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(sorted(every_mark)),
        tuple((of, id_) for _, of, id_, _ in people),
        tuple(uid for *_, uid in people),
        {entity: sorted(found) for entity, found in of_person.items()},
        published_path(settings).exists(),
        releases_holding(settings.home, [uid for *_, uid in people]),
    )
    seal(settings.home, keys, collected)
    return collected


# --- what was delivered -------------------------------------------------------------


def _erase_delivered(
    settings: Settings,
    state: ControlState,
    keys: KeyRing,
    collected: Collected,
    journal: Journal,
) -> None:
    """Rewrite the inbox and the quarantine of each of the person's sources."""
    known = {delivery.batch_id: delivery for delivery in state.deliveries()}
    _follow(state, journal)
    before = journal.expected()
    with _aside(settings) as aside, Door(settings, keys) as door:
        for source in sorted({source for source, _ in collected.ids}):
            person = _person(settings, keys, collected, source)
            plan = partial(journal.plan, "delivered")
            for path in sorted((settings.home / "inbox" / source).glob("*")):
                if path.is_file() and is_plain_file(path):  # not yet in a delivery
                    rewrite_file(path, person, aside, plan)
            for folder in _folders(settings.home / "inbox" / source):
                found = Found(source, folder.name, folder)
                batch = keys.batch_id(source, folder.name)
                if batch not in before:
                    counts = _read_at_door(door, found, state, aside)
                    before[batch] = (counts, _is_known(found, known.get(batch)))
                    journal.expect(batch, counts, is_known=before[batch][1])
                rewrite_folder(folder, person, aside, plan)
                erase_from_tables(settings, folder, person, plan)
                if before[batch][1]:
                    # The ledger goes on knowing it, by its new bytes.
                    state.remember_bytes(batch, found.digest(), found.stat_mark())
            for folder in _folders(settings.home / "quarantine" / source):
                _erase_refused(settings, state, folder, person, aside, journal)


def _erase_refused(
    settings: Settings,
    state: ControlState,
    folder: Path,
    person: Person,
    aside: Path,
    journal: Journal,
) -> None:
    """Rewrite what was refused of one delivery; the ledger follows, even after a kill."""

    def plan(path: Path, n_rows: int) -> None:
        file = path.name.split(".")[0]
        n_left = max(0, state.n_quarantined(folder.name, file) - n_rows)
        journal.plan(
            "refused", path, n_rows, batch_id=folder.name, file=file, n_left=n_left
        )

    erase_from_tables(settings, folder, person, plan)
    _follow(state, journal)
    rewrite_folder(folder, person, aside, partial(journal.plan, "refused"))
    for path in sorted(folder.glob("*.refused")):
        if is_sealed(path):
            _rewrite_sealed(settings, path, person, aside, journal)


def _rewrite_sealed(
    settings: Settings, path: Path, person: Person, aside: Path, journal: Journal
) -> None:
    """Rewrite a refused file that is sealed: opened aside, and sealed again."""
    opened = aside / path.name
    opened.write_bytes(kept_file(settings.home, path))
    rewritten: list[int] = []

    def plan(_: Path, n_rows: int) -> None:
        rewritten.append(n_rows)
        journal.plan("refused", path, n_rows)

    rewrite_file(opened, person, aside, plan)
    if not opened.exists():
        path.unlink()
    elif rewritten:
        keep_file(settings.home, path, opened.read_bytes())
    opened.unlink(missing_ok=True)


def _follow(state: ControlState, journal: Journal) -> None:
    """Let the ledger know of refused rows that went; a kill may have come between."""
    for batch, file, n_left in journal.refused_left():
        state.count_erased_refusals(batch, file, n_left)


@contextmanager
def _aside(settings: Settings) -> Iterator[Path]:
    """Lend an empty private folder for files that are taken apart."""
    inbox = settings.home / "inbox"
    largest = max((p.lstat().st_size for p in inbox.rglob("*")), default=0)
    aside = plain_folder(settings, 3 * largest) / "erase"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        leave_plain_folder(settings, aside.parent)


def _is_known(found: Found, delivery: Delivery | None) -> bool:
    return delivery is not None and (
        found.stat_mark() == delivery.stat_mark or found.digest() == delivery.digest
    )


def _read_at_door(
    door: Door, found: Found, state: ControlState, aside: Path
) -> dict[str, tuple[int, int]]:
    refused = aside / "refused"
    shutil.rmtree(refused, ignore_errors=True)
    return door.count_erased(found, state, refused)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.is_symlink())


def _person(
    settings: Settings, keys: KeyRing, collected: Collected, source: str
) -> Person:
    theirs = {entity: frozenset(found) for entity, found in collected.keys.items()}
    return Person(
        frozenset(id_ for of, id_ in collected.ids if of == source),
        lambda entity, text: (
            keys.row_key(entity, source, text) in theirs.get(entity, frozenset())
        ),
        _id_rules(settings, source),
    )


def _id_rules(settings: Settings, source: str) -> tuple[IdRule, ...]:
    """Return how the ids of people and of what hangs on them stand in a source's files."""
    mapping = load_mapping(settings.home, source)
    found: dict[IdRule, None] = {}
    for part in (*mapping.file, *mapping.preset) if mapping else ():
        for name in part.tables():
            for column in BY_NAME[name].columns:
                # The other client of a link is of another source: its own row tells.
                if column.kind != "id" or column.of not in _IDENTIFYING:
                    continue
                if column.name == "other_client_id":
                    continue
                for references in _references(part, column.name):
                    parts = [_id_part(part, reference) for reference in references]
                    if all(p.headers or p.constant or p.is_optional for p in parts):
                        rule = IdRule(
                            part.match, column.of, tuple(parts), part.separator
                        )
                        found[rule] = None
    return tuple(found)


def _references(part: FileMapping, column: str) -> Iterator[tuple[str, ...]]:
    if column in part.compose:
        yield part.compose[column]
    for reference in part.sources_of(column):
        yield (reference,)
    for form in part.questionnaire:
        if column in form.columns:
            yield (form.columns[column],)


def _id_part(part: FileMapping, reference: str) -> IdPart:
    """Return one part of an id; what is looked up in another file is not in this one."""
    if reference.startswith("="):
        return IdPart((), reference[1:])
    joined = tuple(f"{join.name}." for join in part.join)
    headers = tuple(
        normal_header(one.removesuffix("?"))
        for one in reference.removesuffix("?").split("|")
        if not one.startswith(joined)
    )
    return IdPart(headers, is_optional=reference.endswith("?"))


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


@dataclass(frozen=True)
class _Search:
    """What the search came to: files that hold a value, files that nobody can read."""

    left: tuple[str, ...]
    unread: tuple[str, ...]
    counts: dict[str, int]


def _left(
    settings: Settings,
    state: ControlState,
    keys: KeyRing,
    collected: Collected,
    journal: Journal,
) -> _Search:
    """Search everything for every collected value, and read each delivery once more.

    A source id of fewer than 8 characters can't be told from chance in bytes. Below the
    door its keys are looked for in its stead, which stand in every row of the person;
    where ids themselves lie (what was delivered, the vault), the columns of ids are read.
    """
    hidden = {key for found in collected.keys.values() for key in found}
    values = sorted(hidden | set(collected.uids))
    every = sorted({id_ for _, id_ in collected.ids})
    long = [id_ for id_ in every if len(id_) >= SHORTEST]
    short = [id_ for id_ in every if len(id_) < SHORTEST]
    named = {f"key {n}": value for n, value in enumerate(values)}
    named |= {f"id {n}": value for n, value in enumerate(long)}
    aside = plain_folder(settings, 1 << 30)
    found = search_folder(
        settings.home,
        named,
        table_reader(settings.home),
        whole=[f"id {n}" for n in range(len(long))],
        aside=aside,
    )
    leave_plain_folder(settings, aside)
    left = {hit.path for hit in found.hits}
    n_cells = 0
    if short:
        holding, n_cells = files_with_short_ids(
            settings.home, short, disk_keys(settings.home)
        )
        left |= holding
    in_delivery, n_read = _left_at_door(settings, state, keys, collected, journal)
    return _Search(
        tuple(sorted(left | in_delivery)),
        tuple(sorted(found.undecoded)),
        {
            "n_values": len(named),
            "n_short_ids": len(short),
            "n_short_id_cells": n_cells,
            "n_files": found.n_files,
            "n_rows": found.n_rows,
            "n_rows_at_door": n_read,
            "n_hits": len(found.hits),
            "n_undecoded": len(found.undecoded),
        },
    )


def _left_at_door(
    settings: Settings,
    state: ControlState,
    keys: KeyRing,
    collected: Collected,
    journal: Journal,
) -> tuple[set[str], int]:
    """Return the deliveries in which the door still finds the person.

    Ids may be composed of cells, or stand in another file that rows are looked up in: so
    each table must also have lost as many rows as the door had found to be theirs.
    """
    left: set[str] = set()
    n_read = 0
    before = journal.expected()
    with _aside(settings) as aside, Door(settings, keys) as door:
        for source in sorted({source for source, _ in collected.ids}):
            for folder in _folders(settings.home / "inbox" / source):
                found = Found(source, folder.name, folder)
                now = _read_at_door(door, found, state, aside)
                was, _ = before.get(keys.batch_id(source, folder.name), ({}, False))
                n_read += sum(n_rows for n_rows, _ in now.values())
                if any(n for _, n in now.values()) or any(
                    n_rows - now.get(table, (0, 0))[0] < n_theirs
                    for table, (n_rows, n_theirs) in was.items()
                ):
                    left.add(f"inbox/{source}/{folder.name}")
    return left, n_read


def opaque_place(path: str) -> str:
    """Return a place that may be told: delivered files are named by people."""
    parts = path.split("/")
    if parts[0] not in ("inbox", "quarantine"):
        return path
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{'/'.join(parts[:2])}/(sha256 of its path: {digest})"
