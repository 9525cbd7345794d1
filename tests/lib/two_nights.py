"""A home with yesterday's snapshot and tonight's deliveries, to disturb and compare.

The clinic is small, so that a night is cheap, and every text that names a person is a
canary: whatever is done to its nights, no file but those of the door may hold one.
"""

import csv
import fcntl
import hashlib
import json
import resource
import shutil
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from conftest import ROOT, Home
from lib.canaries import search_folder
from lib.snapshots import fingerprint, published
from rapport.synthetic import generate

YESTERDAY, TONIGHT = "2026-06-26", "2026-06-30"
N_CLIENTS, SEED = 12, 3
# Three of the twelve come tonight, so that there is something to take in and to compute.
_COMES = {"P000003": "2026-06-28", "P000005": "2026-06-30", "P000009": "2026-06-30"}
CANARIES = {
    "client_id": "ZqKestrelChart",
    "full_name": "ZqHarrier",
    "email": "ZqMerlin@person.example",
    "notes": "ZqOspreyNote",
}
_MESSY = {"full_name": "Zoë {} O’Neill", "email": "{}", "notes": 'said "{}", twice'}
_DOOR = ("inbox/", "quarantine/", "vault/")
# What a night writes anew, or rewrites only when it is asked to.
_REBUILT = shutil.ignore_patterns("work.duckdb")


@dataclass(frozen=True)
class TwoNights:
    """Yesterday's home, and what tonight must come to when nothing disturbs it."""

    folder: Path
    expected: dict[str, list[tuple]]
    generations: frozenset[tuple]
    night_s: float
    night_cpu_s: float

    @property
    def yesterday(self) -> Path:
        """Return the home as yesterday left it."""
        return self.folder / "yesterday"

    @property
    def undisturbed(self) -> Path:
        """Return the home after both nights."""
        return self.folder / "undisturbed"

    def deliver_tonight(self, home: Path) -> None:
        """Put tonight's deliveries into an inbox."""
        _deliver(self.folder / "exports", home, after=YESTERDAY)

    def disturbed_home(self, path: Path) -> Home:
        """Copy yesterday's home and put tonight's deliveries into its inbox."""
        shutil.copytree(self.yesterday, path, ignore=_REBUILT)
        self.deliver_tonight(path)
        return Home(path)

    def published_home(self, path: Path) -> Home:
        """Copy the home that both nights have gone through."""
        shutil.copytree(self.undisturbed, path, ignore=_REBUILT)
        return Home(path)


def two_nights(folder: Path) -> TwoNights:
    """Run both nights undisturbed, or return what an earlier call left in the folder."""
    said = folder / "two_nights.json"
    if not said.exists():
        shutil.rmtree(folder, ignore_errors=True)
        lay_exports(folder / "exports")
        home = Home(folder / "undisturbed")
        _deliver(folder / "exports", home.path, until=YESTERDAY)
        home.run("night", "--as-of", YESTERDAY)
        shutil.copytree(home.path, folder / "yesterday", ignore=_REBUILT)
        _deliver(folder / "exports", home.path, after=YESTERDAY)
        started, used = time.monotonic(), children_cpu_s()
        home.run("night", "--as-of", TONIGHT)
        night = {
            "night_s": time.monotonic() - started,
            "night_cpu_s": children_cpu_s() - used,
        }
        said.write_text(json.dumps(night))
    snapshots = [
        folder / name / "published" / "rapport.duckdb"
        for name in ("yesterday", "undisturbed")
    ]
    generations = frozenset(map(fingerprint, snapshots))
    assert len(generations) == 2
    night = json.loads(said.read_text())
    return TwoNights(folder, published(folder / "undisturbed"), generations, **night)


def children_cpu_s() -> float:
    """Return the CPU seconds of every process that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kept_two_nights() -> TwoNights:
    """Return two nights that the long proofs share, run anew when the code changed."""
    digest = hashlib.sha256()
    for top in ("src", "dbt_project", "expectations"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".sql", ".yml", ".csv", ".toml"):  # fmt: skip
                digest.update(path.read_bytes())
    folder = ROOT / ".prove" / "two_nights"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # proofs may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        return two_nights(folder / digest.hexdigest()[:12])


def lay_exports(folder: Path, until: str = TONIGHT) -> None:
    """Write the clinic's deliveries, a canary in each text of a person."""
    made = folder.with_name(f"{folder.name}.making")
    generate(N_CLIENTS, SEED, made, date.fromisoformat(until))
    (made / "inbox" / "canonical").rename(folder)
    shutil.rmtree(made)
    for delivery in sorted(folder.iterdir()):
        if not list(delivery.glob("*.csv")):
            shutil.rmtree(delivery)
    opening = min(folder.iterdir())
    for path in sorted(opening.glob("*.csv")):
        _hold_back(path, opening / "measures.csv")
    for path in sorted(folder.glob("*/*.csv")):
        _plant(path)


def _hold_back(path: Path, measures: Path) -> None:
    """Move the rows of those who come tonight from the opening into their deliveries."""
    rows = _read(path)
    if path.name == "measure_items.csv":
        days = {
            row["administration_id"]: _comes(row)
            for row in _read(measures)  # which is split after its items, by its name
        }
        of = [days.get(row["administration_id"], "") for row in rows]
    else:
        of = [_comes(row) for row in rows]
    for day in sorted(set(_COMES.values())):
        there = path.parents[1] / day
        there.mkdir(exist_ok=True)
        (there / "_SUCCESS").touch()
        late = [row for row, when in zip(rows, of, strict=True) if when == day]
        if late:
            assert not (there / path.name).exists()
            _write(there / path.name, late)
    _write(path, [row for row, when in zip(rows, of, strict=True) if not when])


def _comes(row: dict[str, str]) -> str:
    return _COMES.get(row.get("client_id", "").removesuffix("-DUP"), "")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _plant(path: Path) -> None:
    rows = _read(path)
    for row in rows:
        for name in ("client_id", "old_client_id", "new_client_id"):
            if row.get(name):
                row[name] = CANARIES["client_id"] + row[name]
        if path.name == "clients.csv":
            row |= {name: _messy(name) for name in ("full_name", "email")}
        if path.name == "sessions.csv":
            row["notes"] = _messy("notes")
    if rows:
        _write(path, rows)


def _messy(name: str) -> str:
    return _MESSY[name].format(CANARIES[name])


def canaries_outside(home: Path) -> list[str]:
    """Return each file of a home that holds a canary and may not."""
    scan = search_folder(home, CANARIES)
    if (home / "inbox").is_dir():  # the search sees them; a restored home has none
        assert {hit.canary for hit in scan.hits} == set(CANARIES)
    return sorted({h.path for h in scan.hits if not h.path.startswith(_DOOR)})


def _deliver(
    exports: Path, home: Path, *, after: str = "", until: str = "9999"
) -> None:
    for delivery in sorted(exports.iterdir()):
        if after < delivery.name <= until:
            shutil.copytree(delivery, home / "inbox" / "canonical" / delivery.name)
