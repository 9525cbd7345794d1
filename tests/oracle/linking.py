"""Section B8–B10: which session and episode a form belongs to, and which form is used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from oracle.registry import FORMS
from oracle.scoring import Administration
from oracle.sessions import Episode, Session
from oracle.settings import Settings

_OLDEST = datetime.min.replace(tzinfo=UTC)
_DAYS_BEFORE_FIRST = 30


def form_zone(
    named: Session | None,
    therapist_zone: str | None,
    sessions: list[Session],
    source_zone: str,
) -> str:
    """B2: zone of a form.

    Args:
        named: the live session of the same client that the form names.
        therapist_zone: zone of the clinic of the therapist that the form names.
        sessions: the client's live sessions, any status.
        source_zone: the source's zone.
    """
    if named is not None:
        return named.zone
    if therapist_zone is not None:
        return therapist_zone
    last = max(sessions, key=lambda session: session.order, default=None)
    return last.zone if last else source_zone


def link_session(
    form: Administration, sessions: list[Session], settings: Settings
) -> Session | None:
    """B8: among the client's attended sessions up to as-of."""
    candidates = [session for session in sessions if session.is_counted]
    for session in candidates:
        if session.key == form.named_session:
            return session
    distance = _nearest(form, candidates, settings["link.window_days"])
    if distance is None:
        return None
    return min(
        (s for s in candidates if (s.date - form.date).days == distance),
        key=lambda s: (
            form.therapist is not None and s.therapist != form.therapist,
            abs(form.administered_at - s.started_at),
            s.started_at,
            s.key,
        ),
    )


def _nearest(
    form: Administration, candidates: list[Session], window: int
) -> int | None:
    """Days from the form to the nearest date that may carry it; 0 is the same date."""
    distances = {(session.date - form.date).days for session in candidates}
    ahead = window if form.is_outcome_scale else 0
    within = [d for d in distances if -window <= d <= ahead]
    return min(within, key=lambda d: (abs(d), d), default=None)


def link_episode(
    client: str, day: date, episodes: list[Episode], settings: Settings
) -> Episode | None:
    """B9, for what hangs on no session: the episode by its date."""
    own = [episode for episode in episodes if episode.client == client]
    reported = [e for e in own if e.origin == "reported" and e.holds(day)]
    if reported:
        return min(reported, key=lambda e: (-e.opened_on.toordinal(), e.key))
    before = timedelta(days=_DAYS_BEFORE_FIRST)
    after = timedelta(days=settings["episodes.gap_days"])
    derived = [
        episode
        for episode in own
        if episode.origin == "derived"
        and episode.opened_on - before <= day <= episode.attended[-1].date + after
    ]
    return max(derived, key=lambda episode: episode.opened_on, default=None)


def last_order(form: Administration) -> tuple[datetime, datetime, str]:
    """B10: by (``administered_at``, ``updated_at``, ``administration_id``)."""
    return (form.administered_at, form.updated_at or _OLDEST, form.key)


def used_form(forms: Iterable[Administration]) -> Administration:
    """B10: of several of one kind, the last with a valid total, else the last."""
    forms = list(forms)
    good = [f for f in forms if f.code not in FORMS and f.valid() is not None]
    return max(good or forms, key=last_order)
