"""A home with yesterday's snapshot and tonight's deliveries, to disturb and compare."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, Home
from lib.snapshots import fingerprint, published

YESTERDAY, TONIGHT = "2026-06-15", "2026-06-30"
SAMPLE = ROOT / "data" / "sample" / "inbox" / "canonical"


@dataclass(frozen=True)
class TwoNights:
    """Yesterday's home, and what tonight must come to when nothing disturbs it."""

    yesterday: Path
    expected: dict[str, list[tuple]]
    generations: frozenset[tuple]
    night_s: float

    def disturbed_home(self, path: Path) -> Home:
        """Copy yesterday's home and put tonight's deliveries into its inbox."""
        shutil.copytree(self.yesterday, path)
        _deliver(path, after=YESTERDAY)
        return Home(path)


def two_nights(folder: Path) -> TwoNights:
    """Run both nights undisturbed, from the tracked sample."""
    home = Home(folder / "undisturbed")
    _deliver(home.path, until=YESTERDAY)
    home.run("night", "--as-of", YESTERDAY)
    snapshot = home.path / "published" / "rapport.duckdb"
    before = fingerprint(snapshot)
    shutil.copytree(home.path, folder / "yesterday")
    _deliver(home.path, after=YESTERDAY)
    started = time.monotonic()
    home.run("night", "--as-of", TONIGHT)
    night_s = time.monotonic() - started
    generations = frozenset({before, fingerprint(snapshot)})
    assert len(generations) == 2
    return TwoNights(folder / "yesterday", published(home.path), generations, night_s)


def _deliver(home: Path, *, after: str = "", until: str = "9999") -> None:
    for delivery in sorted(SAMPLE.iterdir()):
        if after < delivery.name <= until:
            shutil.copytree(delivery, home / "inbox" / "canonical" / delivery.name)
