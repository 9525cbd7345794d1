"""Thirty days of a clinic, and what each must come to: the ledger, the digests, the alerts.

Most days bring one export. Two bring none and are caught up on the third; one brings a
header alone, which the gate refuses, and the next day the right export under a new name;
one brings an export without a file; one brings ten exports at once, one of them twice.
"""

import csv
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from lib.two_nights import CANARIES, lay_exports

FIRST, N_NIGHTS = date(2026, 7, 2), 30
_MISSING, _CAUGHT_UP = (8, 9), 10
_REFUSED, _CORRECTED = 14, 15
_EMPTY, _BURST, _N_BURST = 19, 24, 10


@dataclass(frozen=True)
class Day:
    """One day: what arrives before its night, and what must be seen after its morning."""

    number: int
    exports: tuple[str, ...]
    outcome: str
    alerts: tuple[str, ...]

    @property
    def on(self) -> date:
        """Return its date."""
        return FIRST + timedelta(days=self.number - 1)

    def at(self, hour: int, minute: int) -> datetime:
        """Return a moment of it, UTC."""
        return datetime(self.on.year, self.on.month, self.on.day, hour, minute, tzinfo=UTC)  # fmt: skip


def days() -> list[Day]:
    """Return the thirty days."""
    return [_day(number) for number in range(1, N_NIGHTS + 1)]


def _day(number: int) -> Day:
    exports: tuple[str, ...] = (f"day-{number:02}",)
    outcome, alerts = "published", ()
    if number in _MISSING:
        exports = ()
    if number == _CAUGHT_UP:
        exports = tuple(f"day-{n:02}" for n in (*_MISSING, _CAUGHT_UP))
    if number == _MISSING[-1]:
        alerts = ("export_late",)  # later than it has been in its week
    if number == _REFUSED:
        exports, outcome = (f"day-{number:02}-header-alone",), "refused"
        alerts = ("night_refused", "night_late")
    if number == _CORRECTED:
        exports = (f"day-{_REFUSED:02}-whole", f"day-{number:02}")
    if number == _BURST:
        exports = tuple(f"day-{number:02}-{n}" for n in range(_N_BURST))
    return Day(number, exports, outcome, alerts)


def lay_days(folder: Path) -> None:
    """Write every export: an opening, then a session or two a day of each client."""
    lay_exports(folder / "opening")
    opening = min((folder / "opening").iterdir())
    rows = [r for p in (folder / "opening").glob("*/sessions.csv") for r in _read(p)]
    by_client = {row["client_id"]: row for row in rows}
    people = [by_client[key] for key in sorted(by_client)]
    exports = folder / "exports"
    for day in days():
        for place, name in enumerate(day.exports):
            there = exports / name
            there.mkdir(parents=True)
            if day.number != _EMPTY:
                _write_sessions(there / "sessions.csv", day, place, people)
            (there / "_SUCCESS").touch()
    # All of the opening comes on the first day: what was earlier would be a gap to learn.
    for manifest in (folder / "opening").glob("*/manifest.json"):
        said = json.loads(manifest.read_text("utf-8"))
        said.pop("received_at", None)
        manifest.write_text(json.dumps(said), "utf-8")
    first = exports / days()[0].exports[0]
    shutil.rmtree(first)
    shutil.copytree(opening, first)
    for number, more in enumerate(sorted((folder / "opening").iterdir())[1:], start=1):
        shutil.copytree(more, exports / f"day-01-{number}")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_sessions(
    path: Path, day: Day, place: int, people: list[dict[str, str]]
) -> None:
    """Write the day's sessions: four clients a day, by turns; a header alone if refused."""
    chosen = [people[(day.number * 4 + place + n) % len(people)] for n in range(4)]
    rows = [
        {
            "session_id": f"N{path.parent.name}-{n}",
            "client_id": person["client_id"],
            "therapist_id": person["therapist_id"],
            "clinic_id": person["clinic_id"],
            "started_at": f"{day.on - timedelta(days=1)}T{9 + n:02}:00",
            "status": "attended" if n else "no_show",
            "notes": f"said {CANARIES['notes']}",
        }
        for n, person in enumerate(chosen)
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        if "header-alone" not in path.parent.name:
            writer.writerows(rows)
