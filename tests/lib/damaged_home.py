"""Every store of a home damaged, named, and made whole again from what is sound."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from conftest import Home
from lib.damage import WAYS, damage
from lib.small_nights import settings_of
from lib.snapshots import published
from lib.two_nights import TONIGHT
from rapport import night
from rapport.errors import Damaged, RapportError, StateDamaged
from rapport.state import ControlState, writer_lock
from rapport.state.seal import copies
from rapport.warehouse.connections import candidate_path
from rapport.warehouse.integrity import damage_of
from rapport.warehouse.publish import candidate_mark

N_BRONZE, N_CANDIDATE = 3, 3


@dataclass
class Damages:
    """What was damaged, how, and where it was not told or not made whole."""

    home: Home
    rng: random.Random
    expected: dict[str, list[tuple]]
    tried: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def note(self, kind: str, way: str, is_good: bool, what: str) -> None:
        """Note what one damage came to."""
        if not is_good:
            self.faults.append(f"{kind} {way}: {what}")

    def way(self) -> str:
        """Draw a way of damage."""
        return self.rng.choice(WAYS)


def damage_everything(
    home: Home, expected: dict[str, list[tuple]], seed: str, *, n_bronze: int = N_BRONZE
) -> Damages:
    """Damage each store of a published home in turn, mend it, and publish again.

    Bronze and the control state are mended at once, as their cures say; then snapshot,
    history and kept database are damaged together and one night makes all whole.
    """
    found = Damages(home, random.Random(seed), expected)
    for _ in range(n_bronze):
        _bronze(found)
    _control_state(found)
    _built_files(found)
    for _ in range(N_CANDIDATE):
        _candidate(found)
    return found


def _named(found: Damages) -> set[str]:
    damaged, lines = damage_of(settings_of(found.home))
    return {one.place for one in damaged} | {line.split(":")[0] for line in lines}


def _bronze(found: Damages) -> None:
    settings, state = settings_of(found.home), ControlState(found.home.path)
    batch, _, relative, *_ = found.rng.choice(state.bronze_digests())
    way, path = found.way(), found.home.path / "bronze" / relative
    found.tried.append(f"bronze {way}")
    damage(path, way, found.rng)
    found.note("bronze", way, _named(found) == {f"bronze/{relative}"}, "not named")
    run_id = night.start_run(settings, date.fromisoformat(TONIGHT))
    said = _refusal(lambda: night.build(settings, run_id))
    is_told = isinstance(said, Damaged) and f"bronze/{relative}" in said.message
    found.note("bronze", way, is_told, "something was built of it")
    night.retry_delivery(settings, batch)
    found.note("bronze", way, not _named(found), "not mended")


def _control_state(found: Damages) -> None:
    settings, home = settings_of(found.home), found.home.path
    store, way = home / "state" / "rapport.sqlite", found.way()
    found.tried.append(f"state {way}")
    with writer_lock(home):
        pass
    damage(store, way, found.rng)
    said = _refusal(lambda: _write(home))
    found.note("state", way, isinstance(said, StateDamaged), "a writer went on")
    found.note("state", way, _named(found) == {"state/rapport.sqlite is damaged (altered since rapport wrote it)"}, "not named")  # fmt: skip
    for suffix in (".sha256", "-wal", "-shm"):
        Path(f"{store}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(copies(store)[0], store)
    night.ingest(settings)
    # The copy is of the last publish: what was read again since is named, with its cure.
    damaged, _ = damage_of(settings)
    for cure in {one.mend for one in damaged}:
        found.home.run(*cure.split()[1:])
    found.note("state", way, not _named(found), "not mended")


def _write(home: Path) -> None:
    with writer_lock(home):
        pass


def _built_files(found: Damages) -> None:
    """Snapshot, an earlier one and the kept database; one night and one deletion."""
    home = found.home.path
    history = sorted((home / "published" / "history").glob("*.duckdb"))[0]
    places = {
        "snapshot": home / "published" / "rapport.duckdb",
        "history": history,
        "kept": home / "warehouse" / "kept.duckdb",
    }
    ways = {}
    for kind, path in places.items():
        ways[kind] = found.way()
        found.tried.append(f"{kind} {ways[kind]}")
        _as_a_file_of_its_own(path)
        damage(path, ways[kind], found.rng)
    named = _named(found)
    for kind, path in places.items():
        is_named = path.relative_to(home).as_posix() in named
        found.note(kind, ways[kind], is_named, "not named")
    history.unlink()
    found.home.run("night", "--as-of", TONIGHT)
    same = published(home) == found.expected
    found.note("snapshot", "and kept", same, "the tables are not the same")
    found.note("snapshot", "and kept", not _named(found), "not mended")


def _as_a_file_of_its_own(path: Path) -> None:
    """The history holds hard links: damage one name alone."""
    copy = path.with_name(f"{path.name}.own")
    shutil.copy2(path, copy)
    copy.replace(path)


def _candidate(found: Damages) -> None:
    """The candidate between gate and publish: refused in words, or nothing was hit."""
    settings, state = settings_of(found.home), ControlState(found.home.path)
    path, way = candidate_path(settings), found.way()
    found.tried.append(f"candidate {way}")
    whole = path.with_name("whole.duckdb")
    shutil.copy2(path, whole)
    run_id = night.start_run(settings, date.fromisoformat(TONIGHT))
    state.set_run(run_id, "validated", candidate_mark=candidate_mark(settings))
    damage(path, way, found.rng)
    done = found.home.run("publish", check=None)
    is_told = done.returncode == 1 and "candidate" in done.stderr
    is_same = published(found.home.path) == found.expected
    found.note("candidate", way, "Traceback" not in done.stderr, "a traceback")
    found.note("candidate", way, is_told or done.returncode == 0, "not told")
    found.note("candidate", way, is_same, "wrong numbers were published")
    shutil.copy2(whole, path)
    whole.unlink()


def _refusal(step: Callable[[], object]) -> RapportError | None:
    try:
        step()
    except RapportError as error:
        return error
    return None
