"""Small random clinics that press on the corners of the page.

A clinic is a function of its seed. Sixty clinics share a source, and with it the
source's zone, its deliveries and which of their tables are snapshots.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from oracle.registry import (
    ALIASES,
    FORMS,
    OUTCOMES,
    SCALES,
    SRS,
    WAI_S,
    WAI_SR,
    Instrument,
)
from oracle.versions import Delivery

CLINICS_A_SOURCE = 60
LAST_DAY = date(2026, 6, 30)

Row = dict[str, str]

# In Havana the clock changes at midnight: a date's first hour may be missing.
_ZONES = (
    "America/New_York",
    "Europe/London",
    "America/Phoenix",
    "Asia/Kolkata",
    "America/Havana",
)
# Bytewise "2026-06-10" comes before "2026-06-9", whatever the calendar says.
_DELIVERIES = ("2026-06-1", "2026-06-10", "2026-06-9")
_SNAPSHOTS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"sessions"}),
    frozenset({"measures"}),
    frozenset({"episodes", "goals"}),
    frozenset({"measures", "measure_items", "diagnoses"}),
)
# Clocks change in the night to these dates.
_CLOCK_CHANGES = {
    date(2025, 11, 2): ("America/New_York", "America/Havana"),
    date(2026, 3, 8): ("America/New_York", "America/Havana"),
    date(2025, 10, 26): ("Europe/London",),
    date(2026, 3, 29): ("Europe/London",),
}
# Last sessions so many days before an as-of date that silence just closes, or not yet.
_ON_THE_EDGE = tuple(
    as_of - timedelta(days=gap + extra)
    for as_of, gap in ((LAST_DAY, 90), (date(2026, 5, 17), 60))
    for extra in (0, 1)
)
_GAPS = (7, 7, 7, 7, 7, 0, 0, 1, 2, 3, 4, 14, 27, 28, 29, 15, 60, 61, 89, 90, 91)
_STATUSES = ("attended",) * 14 + (
    "no_show",
    "no_show",
    "client_cancelled",
    "late_cancelled",
    "clinic_cancelled",
    "scheduled",
    "voided",
    "unknown",
    "",
)
_APPROACHES = ("", "", "emdr", "pe", "cbt", "cbt", "net", "act")
_REASONS = (
    "completed",
    "dropped_out",
    "dropped_out",
    "referred",
    "transferred",
    "declined",
    "deceased",
    "other",
    "",
)
# Totals at the edges of the bands, of their settings and of srs_concern.
_BANDS = {
    "WAI-SR": (3.0, 4.0, 2.5, 3.5),
    "WAI-S": (4.0, 5.5, 3.25, 4.75),
    "SRS": (34.0, 36.0, 39.0, 38.7),
}
_TINY = (0.0, 0.0, 0.0, 5e-7, -5e-7, 2e-6, -2e-6, 1e-4, -1e-4)


@dataclass(frozen=True)
class Source:
    """What the clinics of one source share."""

    name: str
    timezone: str
    snapshots: tuple[frozenset[str], ...]  # by delivery


def source_of(seed: int) -> Source:
    group = seed // CLINICS_A_SOURCE
    snapshots = _SNAPSHOTS[group % len(_SNAPSHOTS)]
    when = 1 + group % 2  # the second or the third delivery
    return Source(
        f"group{group:03d}",
        _ZONES[group % len(_ZONES)],
        tuple(snapshots if n == when else frozenset() for n in range(3)),
    )


@dataclass
class Course:
    """A client under construction: where the scores stand."""

    client: str
    ids: tuple[str, ...]  # ids that rows are written under (merges)
    last_day: date
    instrument: Instrument
    is_reported: bool
    totals: list[float] = field(default_factory=list)
    outcome: Instrument = SCALES["PCL-5"]
    outcome_total: float = 0.0
    outcome_is_reported: bool = False
    is_steady: bool = False  # one therapist, weekly, forms in order: long series
    n_low: int = 0  # forms until a repair
    shift: float = 0.0  # how the therapist sees it, in units
    strain: int = 1  # level of the therapist's answers


class RandomClinic:
    """The rows of one clinic, by delivery and table."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.source = source_of(seed)
        self._tables: list[dict[str, list[Row]]] = [
            defaultdict(list) for _ in _DELIVERIES
        ]
        self._numbers = itertools.count()
        self._episode_ids: list[str] = []
        self._sessions: list[tuple[str, str, date]] = []  # id, client, day
        self._places()
        for n in range(self.random.randint(1, 3)):
            self._client(n)
        if self._chance(0.1):
            self._client(9, is_known=False)
        self._snapshots()

    def deliveries(self) -> list[Delivery]:
        """Return what the clinic delivers; the same seed gives the same rows."""
        found = []
        for n, name in enumerate(_DELIVERIES):
            tables = dict(self._tables[n])
            for table in self.source.snapshots[n]:
                tables.setdefault(table, [])
            found.append(Delivery(name, tables, self.source.snapshots[n]))
        return found

    # --- small choices ----------------------------------------------------------------

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _id(self, letter: str) -> str:
        return f"{letter}{self.seed}-{next(self._numbers)}"

    def _put(self, table: str, row: dict[str, Any], change: dict[str, Any] | None = None
             ) -> None:  # fmt: skip
        """Write a row, sometimes late, sometimes with a version that differs.

        Args:
            table: the canonical table.
            row: the row that is meant.
            change: what an older or newer version may say instead.
        """
        clean = {k: "" if v is None else str(v) for k, v in row.items()}
        first = self.random.choice((0, 0, 0, 0, 1, 2))
        other = self.random.choice((0, 1, 2))
        stamps = self.random.choice(
            [
                ("", ""),
                ("2026-06-01T10:00:00Z", "2026-06-02T10:00"),
                ("2026-06-02T00:00:00Z", ""),
                ("", "2026-06-02T00:00:00Z"),
                ("2026-06-02T10:00:00+02:00", "2026-06-02T08:00:00Z"),
            ]
        )
        if table in ("clients", "episodes", "sessions", "measures"):
            clean["updated_at"] = stamps[0]
        self._tables[first][table].append(clean)
        if change is None or not self._chance(0.12):
            return
        version = {**clean, **{k: str(v) for k, v in change.items()}}
        if "updated_at" in clean:
            version["updated_at"] = stamps[1]
        if table in ("sessions", "measures") and self._chance(0.3):
            version["deleted"] = "true"
            if self._chance(0.3):
                self._tables[other][table].append(version)
                version = {**version, "deleted": "false"}
        self._tables[other][table].append(version)

    def _snapshots(self) -> None:
        """Complete the tables that a snapshot tells whole, or let rows vanish."""
        for n, tables in enumerate(self.source.snapshots):
            for table in sorted(tables):
                column = _ID_COLUMNS[table]
                earlier: dict[tuple[str, ...], list[Row]] = {}
                for one in self._tables[: n + 1]:
                    of_one: dict[tuple[str, ...], list[Row]] = defaultdict(list)
                    for row in one[table]:
                        of_one[tuple(row.get(c, "") for c in column)].append(row)
                    earlier.update(of_one)
                gone = {id_ for id_ in earlier if self._chance(0.06)}
                self._tables[n][table] = [
                    row
                    for id_, rows in earlier.items()
                    if id_ not in gone
                    for row in rows
                ]
                # A row that vanished stays away: what a later delivery of an older
                # version would mean is not on the page.
                for later in self._tables[n + 1 :]:
                    later[table] = [
                        row
                        for row in later[table]
                        if tuple(row.get(c, "") for c in column) not in gone
                    ]

    # --- places and people ------------------------------------------------------------

    def _places(self) -> None:
        self.clinics = [f"C{self.seed}-{n}" for n in range(2)]
        for n, clinic in enumerate(self.clinics):
            zone = self.random.choice((*_ZONES, "", "Nowhere/Land"))
            row = {"clinic_id": clinic, "name": f"Clinic {n}", "state": "NY",
                   "timezone": zone}  # fmt: skip
            self._put("clinics", row, {"timezone": self.random.choice(_ZONES)})
        self.therapists = [f"T{self.seed}-{n}" for n in range(3)]
        for therapist in self.therapists:
            row = {
                "therapist_id": therapist,
                "clinic_id": self.random.choice((*self.clinics, "")),
                "discipline": "psychologist",
            }
            self._put("therapists", row)

    def _client(self, n: int, *, is_known: bool = True) -> None:
        client = f"P{self.seed}-{n}"
        ids = (client,)
        if is_known:
            self._put(
                "clients",
                {"client_id": client, "birth_date": "1984-05-06", "race": "white",
                 "ethnicity": self.random.choice(("", "hispanic"))},
                {"race": "white;black"},
            )  # fmt: skip
            ids = self._merges(client)
        course = Course(
            client,
            ids,
            LAST_DAY - timedelta(days=self.random.choice((30, 70, 120, 200, 330))),
            self.random.choice((WAI_SR, WAI_SR, WAI_S, SRS)),
            self._chance(0.5),
        )
        course.is_steady = is_known and self._chance(0.6)
        course.shift = self.random.choice((0, 0, 0.5, -0.5, 1, -1, 1.25))
        if self._chance(0.25):
            weeks = self.random.choice((0, 0, 0, 7, 14))
            course.last_day = self.random.choice(list(_CLOCK_CHANGES))
            course.last_day -= timedelta(days=weeks)
        elif course.is_steady:
            course.last_day -= timedelta(days=self.random.choice((0, 50, 100)))
        course.outcome = self.random.choice((*OUTCOMES, *[OUTCOMES[0]] * 8))
        course.outcome_is_reported = self._chance(0.6)
        course.outcome_total = course.outcome.total_high * self.random.choice(
            (0.3, 0.5, 0.6)
        )
        episodes = self._episodes(course)
        n_visits = self.random.randint(2, 12)
        if course.is_steady:
            n_visits = self.random.randint(6, 20)
            if self._chance(0.04):
                n_visits = 32
                course.last_day -= timedelta(days=120)
        days = [course.last_day]
        for _ in range(n_visits - 1):
            days.append(days[-1] + timedelta(days=self._gap(course)))
        if self._chance(0.12):
            move = self.random.choice(_ON_THE_EDGE) - days[-1]
            days = [one + move for one in days]
        for day, following in zip(days, [*days[1:], None], strict=True):
            self._visit(course, day, episodes)
            if following is not None:
                self._between(course, day, following)
        self._around(course, days, episodes)
        self._goals(course, episodes)
        recorded = self.random.sample((-40, -7, 0, 5, 40), 2)
        for n in recorded[: self.random.choice((0, 0, 1, 2))]:
            self._diagnosis(course, course.last_day + timedelta(days=n))

    def _gap(self, course: Course) -> int:
        weekly = self._chance(0.93 if course.is_steady else 0.7)
        if self._chance(0.04):
            return self.random.choice((2, 4, 6))
        return 7 if weekly else self.random.choice(_GAPS)

    def _between(self, course: Course, day: date, following: date) -> None:
        """Sometimes a form half-way between two sessions, that names neither."""
        half, odd = divmod((following - day).days, 2)
        if odd or not 0 < half < 4 or not self._chance(0.5):
            return
        scale = self.random.choice(OUTCOMES)
        middle = day + timedelta(days=half)
        self._administer(course, "", "", self._clock(middle), scale.code, "client", {},
                         round(self._mid(scale), 1))  # fmt: skip

    def _around(self, course: Course, days: list[date], episodes: list[str]) -> None:
        """Sometimes a missed session or a form as far from the sessions as may be."""
        edges = [days[0] - timedelta(days=n) for n in (30, 31, 90, 91)]
        edges += [days[-1] + timedelta(days=n) for n in (60, 61, 90, 91)]
        if self._chance(0.25):
            self._visit(course, self.random.choice(edges), episodes, "no_show")
        if self._chance(0.35):
            scale = self.random.choice(OUTCOMES)
            self._administer(course, "", "", self.random.choice(edges).isoformat(),
                             scale.code, "client", {}, round(self._mid(scale), 1))  # fmt: skip

    def _merges(self, client: str) -> tuple[str, ...]:
        """Sometimes an older id, or a chain of two, leads to the client."""
        ids = [client]
        while len(ids) < 3 and self._chance(0.12):
            old = f"{client}-old{len(ids)}"
            if self._chance(0.8):
                self._put("clients", {"client_id": old, "birth_date": "1984-05-06"})
            merged = self.random.choice(("2026-01-01", "2026-06-30", "2026-07-01"))
            self._put(
                "client_merges",
                {"old_client_id": old, "new_client_id": ids[-1], "merged_on": merged},
                {"merged_on": "2026-05-17"},
            )
            ids.append(old)
        return tuple(ids)

    def _episodes(self, course: Course) -> list[str]:
        ids = []
        n_episodes = self.random.choice((0, 0, 0, 1, 1, 1, 2, 3))
        for _ in range(min(n_episodes, 1) if course.is_steady else n_episodes):
            opened = course.last_day + timedelta(
                days=self.random.choice((-20, 0, 0, 0, 14, 35, 100))
            )
            closed = self.random.choice(
                (
                    None,
                    None,
                    opened + timedelta(days=self.random.randint(0, 150)),
                    date(2026, 7, 20),
                    LAST_DAY,
                )
            )
            id_ = self._id("E")
            row = {
                "episode_id": id_,
                "client_id": self.random.choice(course.ids),
                "therapist_id": self.random.choice((*self.therapists[:2], "")),
                "clinic_id": self.random.choice((*self.clinics, "", "")),
                "opened_on": opened,
                "closed_on": closed,
                "closure_reason": self.random.choice(_REASONS)
                if closed or self._chance(0.2)
                else "",
                "trauma_focused": self.random.choice(("", "", "true", "false")),
                "treatment_approach": self.random.choice(_APPROACHES),
            }
            self._put("episodes", row, {"closed_on": "", "closure_reason": ""})
            ids.append(id_)
        self._episode_ids += ids
        return ids

    # --- a session and its forms ------------------------------------------------------

    def _clock(self, day: date) -> str:
        """A way of writing a start on a day."""
        hour = self.random.choice((9, 10, 10, 10, 11, 14, 23, 0))
        if day in _CLOCK_CHANGES:
            hour = self.random.choice((0, 1, 1, 2, 2, 3))
        minute = self.random.choice((0, 0, 30))
        wall = datetime.combine(day, time(hour, minute))
        style = self.random.choice(("min", "min", "min", "sec", "z", "offset", "date"))
        if style == "date" and self._chance(0.5):
            return day.isoformat()
        if style == "sec":
            return wall.isoformat(timespec="seconds")
        written = wall.isoformat(timespec="minutes")
        if style == "z":
            return written + "Z"
        if style == "offset":
            return written + self.random.choice(("-05:00", "+0530", "+10:00"))
        return written

    def _visit(
        self, course: Course, day: date, episodes: list[str], status: str = ""
    ) -> None:
        therapist = self.therapists[0]
        if self._chance(0.12):
            therapist = self.random.choice(self.therapists)
        started = self._clock(day)
        id_ = self._id("S")
        ended = ""
        if len(started) == 16 and self._chance(0.7):
            end = datetime.fromisoformat(started) + timedelta(
                minutes=self.random.choice((50, 50, 90, -5))
            )
            ended = end.isoformat(timespec="minutes")
        is_given = bool(status)
        status = status or self.random.choice(_STATUSES)
        if course.is_steady and not is_given and self._chance(0.7):
            status = "attended"
        if day > LAST_DAY and self._chance(0.7):
            status = "scheduled"
        named = self.random.choice((*episodes, "", "", "E-nobody"))
        if course.is_steady:
            named = episodes[0] if episodes else ""
        elif self._chance(0.05) and self._episode_ids:
            named = self.random.choice(self._episode_ids)  # perhaps another client's
        row = {
            "session_id": id_,
            "client_id": self.random.choice(course.ids),
            "therapist_id": therapist,
            "clinic_id": self.random.choice((*self.clinics, self.clinics[0], "")),
            "episode_id": named,
            "started_at": started,
            "ended_at": ended,
            "timezone": self._zone(day),
            "status": status,
            "modality": self.random.choice(("individual", "group", "")),
            "treatment_approach": self.random.choice(_APPROACHES),
            "delivery_mode": self.random.choice(("video", "in_person", "")),
            "diagnosis_codes": self.random.choice(("", "", "F43.10", "F33.1;F43.10")),
        }
        self._put(
            "sessions",
            row,
            {"status": self.random.choice(_STATUSES), "therapist_id": therapist},
        )
        self._sessions.append((id_, course.client, day))
        if not is_given:
            self._forms(course, id_, therapist, day, started)
        if self._chance(0.05):
            self._second_session(course, row, day)

    def _zone(self, day: date) -> str:
        if day in _CLOCK_CHANGES and self._chance(0.7):
            return self.random.choice(_CLOCK_CHANGES[day])
        return self.random.choice(("", "", "", *_ZONES))

    def _second_session(self, course: Course, row: Row, day: date) -> None:
        """Two sessions on one day, and a form that has to choose between them."""
        first = datetime.combine(day, time(10, 0))
        hours = [first + timedelta(hours=n) for n in (0, self.random.choice((0, 1)))]
        therapists = self.random.sample(self.therapists, 2)
        if self._chance(0.5):
            therapists[1] = therapists[0]
        for start, therapist in zip(hours, therapists, strict=True):
            again = {
                **row,
                "session_id": self._id("S"),
                "therapist_id": therapist,
                "started_at": start.isoformat(timespec="minutes"),
                "ended_at": "",
                "status": "attended",
            }
            self._put("sessions", again)
        middle = hours[0] + (hours[1] - hours[0]) / 2
        items, total = self._alliance(course)
        self._administer(course, self.random.choice((*therapists, "")), "",
                         middle.isoformat(timespec="minutes"),
                         course.instrument.code, "client", items, total)  # fmt: skip

    def _forms(
        self, course: Course, session: str, therapist: str, day: date, started: str
    ) -> None:
        def form(instrument: str, rater: str, items: dict[str, object],
                 total: object = "") -> None:  # fmt: skip
            self._form(course, session, therapist, day, started, instrument, rater,
                       items, total)  # fmt: skip

        if self._chance(0.85):
            items, total = self._alliance(course)
            form(self._spelling(course.instrument.code), "client", items, total)
        if self._chance(0.12):  # a second form, or another instrument
            other = self.random.choice((WAI_SR, WAI_S, SRS, course.instrument))
            form(other.code, "client", self._items_for(other, self._mid(other)))
        if course.instrument is not SRS and self._chance(0.6):
            self._therapist_view(course, form)
        if self._chance(0.85 if course.is_steady else 0.5):
            items, total = self._outcome(course)
            form(self._spelling(course.outcome.code), "client", items, total)
        if self._chance(0.08):
            scale = self.random.choice(OUTCOMES)
            form(scale.code, "client", {}, round(self._mid(scale), 1))
        if self._chance(0.4):
            form("RAP-T", "therapist", self._rap_t(course))
        if self._chance(0.15):
            items = {
                item: self.random.choice((0, 1, 1)) for item in FORMS["RAP-S"].items
            }
            form("rap_s", "therapist", self._disturbed(items))
        if self._chance(0.25):
            rater = self.random.choice(("client", "client", "client", "therapist"))
            form("PSQ", rater, self._psq())
        if self._chance(0.05):
            self._odd_form(form)

    def _form(self, course: Course, session: str, therapist: str, day: date,
              started: str, instrument: str, rater: str, items: dict[str, object],
              total: object) -> None:  # fmt: skip
        shift = self.random.choice((0,) * 10 + (-4, -3, -2, -1, 1, 2, 3, 4, 100))
        administered = started if self._chance(0.3) else self._clock(day)
        if shift and not (course.is_steady and self._chance(0.8)):
            administered = self._clock(day + timedelta(days=shift))
        named = session if self._chance(0.9 if course.is_steady else 0.5) else ""
        if self._chance(0.03) and self._sessions:
            named = self.random.choice(self._sessions)[0]  # perhaps another client's
        who = self.random.choice((therapist, therapist, "", *self.therapists))
        self._administer(
            course, who, named, administered, instrument, rater, items, total, session
        )

    def _administer(self, course: Course, therapist: str, session: str,
                    administered: str, instrument: str, rater: str,
                    items: dict[str, object], total: object,
                    other_session: str = "") -> None:  # fmt: skip
        id_ = self._id("A")
        row = {
            "administration_id": id_,
            "client_id": self.random.choice(course.ids),
            "therapist_id": therapist,
            "session_id": session,
            "instrument": instrument,
            "version": self.random.choice(("", "", "", "2.1")),
            "rater": rater,
            "administered_at": administered,
            "total_reported": total,
        }
        self._put("measures", row, {"total_reported": "", "session_id": other_session})
        self._write_items(id_, items)

    def _write_items(self, id_: str, items: dict[str, object]) -> None:
        """Items come whole in one delivery; sometimes a later one brings another set."""
        where = self.random.choice((0, 0, 0, 1, 2))
        rows = [
            {"administration_id": id_, "item": self._item_id(item), "value": str(value)}
            for item, value in items.items()
        ]
        if rows and self._chance(0.06):  # the same item twice
            twice = dict(self.random.choice(rows))
            twice["value"] = self.random.choice(("1", "2", "", twice["value"], "3.0"))
            rows.append(twice)
        self._tables[where]["measure_items"] += rows
        if rows and self._chance(0.04):
            again = self.random.choice((0, 1, 2))
            if again != where:
                kept = [row for row in rows if self._chance(0.8)]
                self._tables[again]["measure_items"] += kept

    def _item_id(self, item: str) -> str:
        if item.isdigit() and self._chance(0.05):
            return self.random.choice((f"0{item}", f" {item} "))
        return item

    def _spelling(self, code: str) -> str:
        if self._chance(0.9):
            return code
        spellings = (code.lower(), code.replace("-", "_"), code.replace("-", " "))
        return self.random.choice(spellings)

    # --- scores -----------------------------------------------------------------------

    def _mid(self, scale: Instrument) -> float:
        span = scale.total_high - scale.total_low
        return scale.total_low + span * self.random.uniform(0.1, 0.95)

    def _alliance(self, course: Course) -> tuple[dict[str, object], object]:
        """The next client form of a series that crowds around the thresholds."""
        scale = course.instrument
        target = self._next_total(course)
        course.totals.append(target)
        if not course.is_reported:
            return self._items_for(scale, target), self._noise_total(scale, target)
        if self._chance(0.1):
            return self._items_for(scale, target), ""
        if scale is not SRS and self._chance(0.2):
            return {}, round(target * 12, 3)  # the sum form
        return {}, round(target, 8)

    def _noise_total(self, scale: Instrument, target: float) -> object:
        """A reported total beside items, which win; or none."""
        if self._chance(0.9):
            return ""
        return self.random.choice((round(target, 2), 999, "n/a", -1))

    def _next_total(self, course: Course) -> float:
        scale, totals = course.instrument, course.totals
        top = scale.total_high
        if not totals:
            return top - scale.unit * self.random.choice((0.25, 0.5, 0.75, 1))
        if course.n_low:
            course.n_low -= 1
            return totals[-1] + self.random.choice((0, 0, -0.05, 0.05)) * scale.unit / 2
        rc = {"WAI-SR": 0.6136, "WAI-S": 0.9204, "SRS": 4.8}[scale.code]
        if self._chance(0.3):
            rc = {"WAI-SR": 0.5, "WAI-S": 1.0, "SRS": 4.0}[scale.code]  # of a setting
        recent = totals[-3:]
        base = sum(recent) / len(recent)
        before = max(totals[-6:])
        if totals[-1] < before - rc / 2 and self._chance(0.5):
            return before - rc * self.random.choice((0.5, 0.5, 0.25, 0))
        target = self.random.choice(
            (
                totals[-1],
                totals[-1],
                totals[-1],
                base,
                base,
                base - rc,
                base - rc,
                base - 1.5 * rc,
                totals[-1] - rc,
                totals[-1] - scale.unit,
                totals[-1] - scale.sd_ref,
                totals[-1] - 0.3 * scale.unit,
                before - 0.5 * rc,
                before - 0.5 * rc,
                before,
                top,
                self.random.choice(_BANDS[scale.code]),
                self.random.choice(_BANDS[scale.code]),
            )
        )
        if target < totals[-1] - rc / 2:
            course.n_low = self.random.choice((0, 0, 0, 1, 2, 3, 4))
        target += self.random.choice(_TINY)
        return min(max(target, scale.total_low), top)

    def _items_for(self, scale: Instrument, total: float) -> dict[str, object]:
        """Items whose score comes near a total, some of them disturbed."""
        if scale.kind == "mm":
            items: dict[str, object] = {}
            for item in scale.items:
                cm = total / 4 + self.random.choice((0, 0, 0, 0.4, -0.4))
                items[item] = round(min(max(cm, 0), 10) * 10, 3)
            if total > 36 and self._chance(0.3):  # good, but for one item
                items |= dict.fromkeys(items, 96)
                items[self.random.choice(list(items))] = self.random.choice((89, 90))
        else:
            each = total if scale.kind == "mean" else total / len(scale.total)
            items = {}
            tilt = self.random.choice((0, 0, 1, -1))
            tilted = self.random.choice([(), *scale.subscales.values()])
            for item in scale.items:
                level = each + (tilt if item in tilted else 0)
                value = int(level) + (self.random.random() < level % 1)
                value = int(min(max(value, scale.low), scale.high))
                turned = item in scale.reversed
                items[item] = int(scale.low + scale.high) - value if turned else value
        return self._disturbed(items)

    def _disturbed(self, items: dict[str, object]) -> dict[str, object]:
        """Leave answers out, or write what is none."""
        kind = self.random.choice(("none",) * 16 + ("few", "few", "odd", "many"))
        if kind == "none" or not items:
            return items
        names = list(items)
        if kind == "many":
            keep = self.random.sample(names, self.random.randint(0, len(names)))
            return {name: items[name] for name in names if name in keep}
        n = min(len(names), self.random.choice((1, 1, 2, 2, 3, 5)))
        changed = dict(items)
        if len(names) == 45:  # of OQ-45, leave out within one subscale
            subscales = list(SCALES["OQ-45"].subscales.values())
            names = list(self.random.choice(subscales))
        for name in self.random.sample(names, n):
            if kind == "few":
                del changed[name]
            else:
                changed[name] = self.random.choice(
                    (
                        "",
                        "abc",
                        "-9",
                        "99",
                        "2.5",
                        "0",
                        "6",
                        f"{items[name]}.0",
                        "1e0",
                        "3,5",
                        "2.0000004",
                        "101",
                    )
                )
        if self._chance(0.2):
            changed["X1"] = 3
        return changed

    def _therapist_view(self, course: Course, form: Any) -> None:
        scale = course.instrument
        if self._chance(0.1):
            scale = self.random.choice((WAI_SR, WAI_S))
        seen = course.totals[-1] if course.totals else scale.total_high
        if self._chance(0.15):
            course.shift = self.random.choice((0, 0.5, -0.5, 1, -1, 1.25))
        seen += course.shift * scale.unit
        target = min(max(seen, scale.total_low), scale.total_high)
        items = self._items_for(scale, target)
        spelling = scale.code
        if self._chance(0.2):
            spelling = self.random.choice(
                [a for a in ALIASES if ALIASES[a] == scale.code]
            )
        if self._chance(0.06):  # the ten-item form in circulation
            items = {item: v for item, v in items.items() if item not in ("11", "12")}
        rater = "therapist" if self._chance(0.93) else "observer"
        total: object = round(target, 3) if self._chance(0.1) else ""
        form(spelling, rater, {} if total and self._chance(0.5) else items, total)

    def _outcome(self, course: Course) -> tuple[dict[str, object], object]:
        scale = course.outcome
        rc = scale.rc or 8
        step = self.random.choice((0, 0, 0, 0, -1, -1, -1, -2, 1, 1, -5, 5))
        if self._chance(0.2):
            step = self.random.choice((-rc, rc, -rc / 3))
        cuts = [scale.clinical[1], scale.functional[1]] if scale.clinical else [20]
        now = course.outcome_total + step
        if self._chance(0.08):
            now = self.random.choice(cuts) + self.random.choice((0, 0, 1, -1))
        now = min(max(now, 0), scale.total_high)
        course.outcome_total = now
        if course.outcome_is_reported and not self._chance(0.15):
            if self._chance(0.04):
                now = self.random.choice((scale.total_high + 1, -1, scale.total_high))
            return {}, round(now + self.random.choice(_TINY), 7)
        return self._items_for(scale, now), ""

    def _rap_t(self, course: Course) -> dict[str, object]:
        if self._chance(0.25):
            course.strain = self.random.choice((0, 1, 2))
        items: dict[str, object] = {
            item: min(3, course.strain + self.random.choice((0, 0, 0, 1)))
            for item in list(FORMS["RAP-T"].items)[:5]
        }
        if self._chance(0.3):
            items["T_TENSION"] = 1
        return self._disturbed(items)

    def _psq(self) -> dict[str, object]:
        tension = self.random.choice((0, 1, 1))
        items: dict[str, object] = {"P_TENSION": tension}
        if tension or self._chance(0.2):
            items["P_INTENSITY"] = self.random.randint(1, 5)
            items["P_RESOLVED"] = self.random.randint(1, 5)
        return self._disturbed(items)

    def _odd_form(self, form: Any) -> None:
        kind = self.random.choice(("unknown", "wrong", "alias", "observer", "rater"))
        some = {"1": 3, "2": 2}
        if kind == "unknown":
            form("BDI-2", "client", some)
        elif kind == "wrong":
            form(self.random.choice(("SRS", "PHQ-9")), "therapist", some)
        elif kind == "alias":
            form("WAI SRT", self.random.choice(("client", "observer")),
                 self._items_for(WAI_SR, 4))  # fmt: skip
        elif kind == "observer":
            form(self.random.choice(("WAI-SR", "PHQ-9", "RAP-T")), "observer",
                 {str(n): 3 for n in range(1, 13)})  # fmt: skip
        else:
            form("RAP-T", "client", {"T_FRUSTRATION": 3})

    # --- goals and diagnoses ----------------------------------------------------------

    def _goals(self, course: Course, episodes: list[str]) -> None:
        if self._chance(0.4):
            return
        taken = set()
        domains = ("symptoms", "sleep", "self", "work", "other", "gardening")
        for _ in range(self.random.randint(1, 12)):
            goal = f"G{self.seed}-{course.client}-{self.random.randint(0, 3)}"
            rater = self.random.choice(
                ("client", "therapist", "client", "therapist", "observer")
            )
            day = course.last_day + timedelta(
                days=self.random.choice((-31, -30, -5, 0, 0, 0, 3, 7, 14, 21, 60, 130))
            )
            if (goal, rater, day) in taken:
                continue
            taken.add((goal, rater, day))
            recorded = day.isoformat()
            if self._chance(0.4):
                recorded += self.random.choice(("T10:00", "T23:30", "T23:30Z"))
            row = {
                "goal_id": goal,
                "client_id": self.random.choice(course.ids),
                "episode_id": self.random.choice(
                    (*episodes, "", "", *self._episode_ids[:1])
                ),
                "recorded_at": recorded,
                "rater": rater,
                "domain": self.random.choice(domains),
                "priority": 1,
                "status": self.random.choice(
                    ("active", "active", "active", "achieved", "closed", "dropped", "")
                ),
            }
            self._put("goals", row, {"domain": self.random.choice(domains)})

    def _diagnosis(self, course: Course, day: date) -> None:
        row = {
            "client_id": course.client,
            "code": self.random.choice(("F43.10", "F33.1", "F41.1")),
            "system": "icd10",
            "recorded_on": day,
            "status": self.random.choice(("active", "active", "resolved")),
        }
        self._put("diagnoses", row, {"status": "active"})


_ID_COLUMNS = {
    "sessions": ("session_id",),
    "episodes": ("episode_id",),
    "measures": ("administration_id",),
    "measure_items": ("administration_id",),
    "goals": ("goal_id", "rater", "recorded_at"),
    "diagnoses": ("client_id", "code", "system", "recorded_on"),
}
