"""Section B1–B7: merges, local time, counted sessions, reported and derived episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from oracle import reading
from oracle.reading import Row

Key = Callable[[str, str], str]  # (entity, id) -> published key

MISSED = ("no_show", "client_cancelled", "late_cancelled")
TRAUMA_FOCUSED = ["emdr", "pe", "cpt", "tf_cbt", "net", "ct_ptsd", "wet", "bepp"]


@dataclass
class Session:
    """One live session of a known client."""

    key: str
    client: str
    therapist: str | None
    clinic: str | None
    named_episode: str | None
    zone: str
    started_at: datetime
    date: date
    duration_minutes: int | None
    status: str
    modality: str | None
    treatment_approach: str | None
    delivery_mode: str | None
    diagnosis_codes: list[str]
    is_counted: bool  # attended, on or before as-of
    episode: Episode | None = None
    number: int | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        """B3: by (``started_at`` UTC, ``session_id``)."""
        return (self.started_at, self.key)


@dataclass
class Episode:
    """One reported or derived episode."""

    key: str
    client: str
    origin: str
    opened_on: date
    ends_on: date | None = None  # closing date as reported, even in the future
    reason: str | None = None  # likewise
    reported_therapist: str | None = None
    reported_clinic: str | None = None
    reported_trauma: bool | None = None
    reported_approach: str | None = None
    sessions: list[Session] = field(default_factory=list)
    # filled in by ``describe``
    therapist: str | None = None
    clinic: str | None = None
    closed_on: date | None = None
    closure_reason: str | None = None
    is_closed: bool = False
    trauma_focused: bool | None = None
    treatment_approach: str | None = None
    n_missed: int = 0

    @property
    def attended(self) -> list[Session]:
        """Counted sessions, in order."""
        counted = [session for session in self.sessions if session.is_counted]
        return sorted(counted, key=lambda session: session.order)

    def holds(self, day: date) -> bool:
        """Tell whether a date lies from opening to (reported) end."""
        return self.opened_on <= day and (self.ends_on is None or day <= self.ends_on)


def id_key(key: Key, entity: str, row: Row, column: str) -> str | None:
    """The published key of an id cell, null when empty."""
    id_ = reading.text(row, column)
    return key(entity, id_) if id_ else None


def last_ids(merges: list[Row], key: Key, as_of: date) -> Callable[[str], str]:
    """B1: client key -> the last key of its chain; links of a cycle do not count."""
    onward = {
        key("client", row["old_client_id"]): key("client", row["new_client_id"])
        for row in merges
        if (merged := reading.day(row, "merged_on")) is not None and merged <= as_of
    }
    in_cycle = {old for old in onward if _comes_back(onward, old)}
    onward = {old: new for old, new in onward.items() if old not in in_cycle}

    def last(client: str) -> str:
        while client in onward:
            client = onward[client]
        return client

    return last


def _comes_back(onward: dict[str, str], start: str) -> bool:
    seen, here = set(), start
    while here in onward and here not in seen:
        seen.add(here)
        here = onward[here]
        if here == start:
            return True
    return False


def read_session(row: Row, key: Key, client: str, clinic_zones: dict[str, str],
                 source_zone: str, as_of: date) -> Session:  # fmt: skip
    """B2, B3: one live row."""
    clinic = id_key(key, "clinic", row, "clinic_id")
    zone = reading.zone(row) or clinic_zones.get(clinic or "") or source_zone
    started = reading.stamp(row, "started_at")
    assert started is not None
    ended = reading.stamp(row, "ended_at")
    local = started.local_date(zone)
    status = reading.code(row, "status", reading.STATUSES) or "unknown"
    return Session(
        key=key("session", row["session_id"]),
        client=client,
        therapist=id_key(key, "therapist", row, "therapist_id"),
        clinic=clinic,
        named_episode=id_key(key, "episode", row, "episode_id"),
        zone=zone,
        started_at=started.instant(zone),
        date=local,
        duration_minutes=_whole_minutes(
            started.instant(zone), ended.instant(zone) if ended else None
        ),
        status=status,
        modality=reading.code(row, "modality", reading.MODALITIES),
        treatment_approach=reading.text(row, "treatment_approach"),
        delivery_mode=reading.code(row, "delivery_mode", reading.DELIVERY_MODES),
        diagnosis_codes=[
            code.strip().upper()
            for code in (reading.text(row, "diagnosis_codes") or "").split(";")
            if code.strip()
        ],
        is_counted=status == "attended" and local <= as_of,
    )


def _whole_minutes(start: datetime, end: datetime | None) -> int | None:
    if end is None or end < start:
        return None
    return (end - start) // timedelta(minutes=1)


def read_episode(row: Row, key: Key, client: str) -> Episode:
    """B4: one live row of ``episodes``."""
    opened_on = reading.day(row, "opened_on")
    assert opened_on is not None
    return Episode(
        key=key("episode", row["episode_id"]),
        client=client,
        origin="reported",
        opened_on=opened_on,
        ends_on=reading.day(row, "closed_on"),
        reason=reading.code(row, "closure_reason", reading.CLOSURE_REASONS),
        reported_therapist=id_key(key, "therapist", row, "therapist_id"),
        reported_clinic=id_key(key, "clinic", row, "clinic_id"),
        reported_trauma=reading.flag(row, "trauma_focused"),
        reported_approach=reading.text(row, "treatment_approach"),
    )


def assign_reported(sessions: list[Session], reported: list[Episode]) -> None:
    """B4: the episode that the session names, else the one that holds its date."""
    for session in sessions:
        own = [e for e in reported if e.client == session.client]
        named = [e for e in own if e.key == session.named_episode]
        holding = sorted(
            (e for e in own if e.holds(session.date)),
            key=lambda e: (
                e.reported_therapist != session.therapist,
                -e.opened_on.toordinal(),
                e.key,
            ),
        )
        session.episode = next(iter(named + holding), None)


def derive(sessions: list[Session], gap_days: int) -> list[Episode]:
    """B5: episodes of one client's sessions that no reported episode holds."""
    rest = [session for session in sessions if session.episode is None]
    derived: list[Episode] = []
    last_date: date | None = None
    for session in sorted(
        (s for s in rest if s.is_counted), key=lambda session: session.order
    ):
        if last_date is None or (session.date - last_date).days > gap_days:
            key = f"derived|{session.client}|{session.date}"
            derived.append(Episode(key, session.client, "derived", session.date))
        session.episode = derived[-1]
        derived[-1].sessions.append(session)
        last_date = session.date
    for session in rest:
        if not session.is_counted:
            session.episode = _joined(session.date, derived, gap_days)
    return derived


def _joined(day: date, derived: list[Episode], gap_days: int) -> Episode | None:
    """B5: where a session that was not attended belongs."""
    before = [episode for episode in derived if episode.opened_on <= day]
    if before:
        latest = max(before, key=lambda episode: episode.opened_on)
        if (day - latest.attended[-1].date).days <= gap_days:
            return latest
    after = [e for e in derived if 0 <= (e.opened_on - day).days <= gap_days]
    return min(after, key=lambda episode: episode.opened_on, default=None)


def close_derived(derived: list[Episode], gap_days: int, as_of: date) -> None:
    """B5: a later derived episode, or silence for more than the gap, closes it."""
    for episode in derived:
        last = episode.attended[-1].date
        has_later = any(other.opened_on > episode.opened_on for other in derived)
        if has_later or (as_of - last).days > gap_days:
            episode.ends_on = last


def describe(episode: Episode, as_of: date) -> None:
    """B3, B6, B7: numbers, status, therapist, clinic, approach."""
    attended = episode.attended
    for number, session in enumerate(attended, start=1):
        session.number = number
    episode.n_missed = sum(
        session.status in MISSED and session.date <= as_of
        for session in episode.sessions
    )
    episode.is_closed = episode.ends_on is not None and episode.ends_on <= as_of
    episode.closed_on = episode.ends_on if episode.is_closed else None
    episode.closure_reason = episode.reason if episode.is_closed else None
    episode.therapist = episode.reported_therapist or commonest(
        session.therapist for session in attended
    )
    episode.clinic = episode.reported_clinic or commonest(
        session.clinic for session in attended
    )
    episode.treatment_approach = episode.reported_approach or commonest(
        session.treatment_approach for session in attended
    )
    episode.trauma_focused = episode.reported_trauma
    if episode.reported_trauma is None and any(
        session.treatment_approach in TRAUMA_FOCUSED for session in attended
    ):
        episode.trauma_focused = True


def commonest(values: Iterable[str | None]) -> str | None:
    """B7: the commonest; tie: the one met first; nulls do not count."""
    met = [value for value in values if value is not None]
    return max(met, key=lambda v: (met.count(v), -met.index(v)), default=None)
