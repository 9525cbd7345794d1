"""Contract §3: how a cell of a canonical table is read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

Row = dict[str, str]

_STAMP = re.compile(
    r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?)?"
    r"\s?(Z|[+-]\d{2}:?\d{2})?$"
)
_ZONES = available_timezones()

STATUSES = [
    "attended",
    "no_show",
    "client_cancelled",
    "late_cancelled",
    "clinic_cancelled",
    "scheduled",
    "voided",
]
MODALITIES = ["individual", "couple", "family", "group"]
DELIVERY_MODES = ["in_person", "video", "phone"]
CLOSURE_REASONS = [
    "completed",
    "dropped_out",
    "referred",
    "transferred",
    "declined",
    "deceased",
    "other",
]
RATERS = ["client", "therapist", "observer"]
GOAL_DOMAINS = [
    "symptoms",
    "safety",
    "sleep",
    "emotion",
    "relationships",
    "self",
    "work",
    "daily_life",
    "health",
    "meaning",
    "other",
]
GOAL_STATUSES = ["active", "achieved", "closed", "dropped"]


@dataclass(frozen=True)
class Stamp:
    """A timestamp as written: wall clock, offset if any, whether it was a bare date."""

    wall: datetime
    offset: timedelta | None
    is_date: bool

    def instant(self, zone: str) -> datetime:
        """B2: the moment in UTC.

        A wall-clock time that came twice is its first occurrence; one that never was
        moves forward by the gap. Both are what ``fold=0`` means.
        """
        if self.offset is not None:
            return (self.wall - self.offset).replace(tzinfo=UTC)
        return self.wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)

    def local_date(self, zone: str) -> date:
        """B2: the local date; a bare date stays that date."""
        if self.is_date:
            return self.wall.date()
        return self.instant(zone).astimezone(ZoneInfo(zone)).date()


def text(row: Row, column: str) -> str | None:
    """A cell without the blanks around it; null when empty or not delivered."""
    return (row.get(column) or "").strip() or None


def code(row: Row, column: str, known: list[str]) -> str | None:
    """A code of a closed list; one outside it is ``unknown``."""
    value = text(row, column)
    if value is None:
        return None
    return value if value in known else "unknown"


def flag(row: Row, column: str) -> bool | None:
    value = (text(row, column) or "").lower()
    if value in ("true", "t", "yes", "y", "1"):
        return True
    return False if value in ("false", "f", "no", "n", "0") else None


def number(value: str | None) -> float | None:
    """A finite number with a decimal point, else null."""
    try:
        parsed = float(value) if value else None
    except ValueError:
        return None
    return parsed if parsed is not None and math.isfinite(parsed) else None


def day(row: Row, column: str) -> date | None:
    value = text(row, column)
    return date.fromisoformat(value[:10]) if value else None


def stamp(row: Row, column: str) -> Stamp | None:
    found = _STAMP.match(text(row, column) or "")
    if found is None:
        return None
    written, hour, minute, seconds, zone = found.groups()
    wall = datetime.fromisoformat(written) + timedelta(
        hours=int(hour or 0), minutes=int(minute or 0), seconds=float(seconds or 0)
    )
    return Stamp(wall, _offset(zone), hour is None)


def _offset(zone: str | None) -> timedelta | None:
    if zone is None:
        return None
    if zone == "Z":
        return timedelta(0)
    digits = zone[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if zone[0] == "-" else size


def updated_at(row: Row) -> datetime | None:
    """B2: ``updated_at`` without an offset is UTC."""
    found = stamp(row, "updated_at")
    return found.instant("UTC") if found else None


def zone(row: Row, column: str = "timezone") -> str | None:
    value = text(row, column)
    return value if value in _ZONES else None
