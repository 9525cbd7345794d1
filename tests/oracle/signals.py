"""Section I: care signals, each from the history up to as-of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from oracle.alliance import AllianceSession, band
from oracle.congruence import is_wide
from oracle.decimals import ge
from oracle.outcomes import OutcomeScore, Stall, gain
from oracle.registry import Instrument
from oracle.ruptures import Rupture
from oracle.sessions import MISSED, Episode, Session
from oracle.settings import Settings
from oracle.therapist import Marker


@dataclass(frozen=True)
class Signal:
    """One row of ``fct_care_signal``, without what only the nights know."""

    name: str
    episode: Episode
    instrument: str | None
    therapist: str | None
    opened_on: date
    closed_on: date | None = None
    reason: str | None = None


def end_of(episode: Episode, settings: Settings) -> date | None:
    """I: ``closed_on`` of a reported episode; of a derived one when its gap is passed."""
    if not episode.is_closed:
        return None
    if episode.origin == "reported":
        return episode.closed_on
    gap = timedelta(days=settings["episodes.gap_days"] + 1)
    return episode.attended[-1].date + gap


def within_episode(signal: Signal, end: date | None) -> Signal | None:
    """I: nothing opens after the end; what is then open, or would close later, closes."""
    if signal.closed_on is not None and signal.closed_on < signal.opened_on:
        # A form may be dated after the session that closes what it opened.
        signal = replace(signal, closed_on=signal.opened_on)
    if end is None:
        return signal
    if signal.opened_on > end:
        return None
    if signal.closed_on is None or signal.closed_on > end:
        return replace(signal, closed_on=end, reason="episode_closed")
    return signal


def rupture_signals(rupture: Rupture, settings: Settings) -> Iterator[Signal]:
    """``rupture`` and ``rupture_unrepaired`` of one default_rc3 rupture."""
    episode, therapist = rupture.episode, rupture.therapist

    def closed(name: str, opened: Session, by: list[tuple[Session | None, str]]
               ) -> Signal:  # fmt: skip
        changed = _therapist_changed(episode, therapist, opened)
        ways = [*by, (changed, "therapist_changed")]
        happened = [(s.number, s.date, reason) for s, reason in ways if s is not None]
        _, day, reason = min(happened, default=(0, None, None))
        return Signal(
            name, episode, rupture.instrument, therapist, opened.date, day, reason
        )

    in_time = rupture.repair if rupture.status == "resolved" else None
    yield closed(
        "rupture",
        rupture.onset,
        [(in_time, "repaired"), (rupture.escalated_at, "escalated")],
    )
    if rupture.escalated_at is not None:
        yield closed(
            "rupture_unrepaired",
            rupture.escalated_at,
            [(rupture.repair, "repaired")],
        )


def _therapist_changed(
    episode: Episode, therapist: str | None, opened: Session
) -> Session | None:
    """The second of two consecutive attended sessions, after the opening one, with another."""
    after = [s for s in episode.attended if s.number > opened.number]
    for first, second in itertools.pairwise(after):
        if first.therapist != therapist and second.therapist != therapist:
            return second
    return None


def stall_signal(stall: Stall) -> Signal:
    """``stall_return_to_alliance``."""
    ways = []
    if stall.reviewed_on is not None:
        ways.append((stall.reviewed_on, 0, "reviewed"))
    if stall.resumed is not None:
        ways.append((stall.resumed.date, 1, "resumed"))
    day, _, reason = min(ways, default=(None, 0, None))
    return Signal(
        "stall_return_to_alliance",
        stall.episode,
        stall.instrument,
        stall.episode.therapist,
        stall.date,
        day,
        reason,
    )


def strain_signals(episode: Episode, markers: list[Marker]) -> Iterator[Signal]:
    """``therapist_strain``: forms in session-number order."""
    opened: Marker | None = None
    n_settled = 0
    for marker in markers:
        if opened is None:
            if marker.is_persistent:
                opened, n_settled = marker, 0
            continue
        n_settled = n_settled + 1 if marker.is_strained is False else 0
        if n_settled == 2:
            yield _of_episode(
                "therapist_strain", episode, opened.session.date, marker.session.date,
                "settled",
            )  # fmt: skip
            opened = None
    if opened is not None:
        yield _of_episode("therapist_strain", episode, opened.session.date)


def _of_episode(
    name: str, episode: Episode, opened_on: date, closed_on: date | None = None,
    reason: str | None = None, instrument: str | None = None,
) -> Signal:  # fmt: skip
    reason = reason if closed_on is not None else None
    return Signal(
        name, episode, instrument, episode.therapist, opened_on, closed_on, reason
    )


def mismatch_signals(
    episode: Episode, rows: list[AllianceSession], instrument: Instrument,
    goals_answers: dict[str, int | None], settings: Settings,
) -> Iterator[Signal]:  # fmt: skip
    """``goal_mismatch``.

    Args:
        episode: the episode.
        rows: its alliance sessions of the primary instrument, in order.
        instrument: the primary instrument.
        goals_answers: ``T_GOALS`` of the used RAP-T form, by session key.
        settings: the settings.
    """
    pairs = [row for row in rows if row.gap["goal"] is not None]
    opened: AllianceSession | None = None
    for before, now in zip([None, *pairs], pairs, strict=False):
        gap = now.gap["goal"]
        if opened is not None:
            other_sign = (gap > 0) != (opened.gap["goal"] > 0)
            if not is_wide(gap, instrument, settings) or other_sign:
                yield _of_episode(
                    "goal_mismatch", episode, opened.session.date, now.session.date,
                    "settled", instrument.code,
                )  # fmt: skip
                opened = None
            continue
        if before is None:
            continue
        gaps = (before.gap["goal"], gap)
        if not all(is_wide(g, instrument, settings) for g in gaps):
            continue
        if (gaps[0] > 0) != (gaps[1] > 0):
            continue
        told = [goals_answers.get(row.session.key) or 0 for row in (before, now)]
        client_is_lower = all(g > 0 for g in gaps)
        if client_is_lower or max(told) >= settings["markers.item_high"]:
            opened = now
    if opened is not None:
        yield _of_episode(
            "goal_mismatch", episode, opened.session.date, instrument=instrument.code
        )


def weak_early_signal(
    episode: Episode, rows: list[AllianceSession], instrument: Instrument,
    early_session: int, settings: Settings,
) -> Signal | None:  # fmt: skip
    """``weak_early_alliance``.

    Args:
        episode: the episode.
        rows: its alliance sessions of the primary instrument, in order.
        instrument: the primary instrument.
        early_session: the session that gives the early alliance, whose band is weak.
        settings: the settings.
    """
    if early_session < 3 and len(episode.attended) < 5:
        return None
    first = next(row for row in rows if row.session.number == early_session)
    recovered = next(
        (
            row.session.date
            for row in rows
            if row.session.number > early_session
            and band(instrument, row.client["total"], settings) not in (None, "weak")
        ),
        None,
    )
    return _of_episode(
        "weak_early_alliance", episode, first.session.date, recovered, "recovered",
        instrument.code,
    )  # fmt: skip


def deterioration_signals(
    episode: Episode, instrument: Instrument, scores: list[OutcomeScore],
    settings: Settings,
) -> Iterator[Signal]:  # fmt: skip
    """``deterioration``: reliably worse than the first score."""
    rc = instrument.rc_total_of(settings)
    if rc is None:
        return
    opened: date | None = None
    for score in scores:
        is_worse = ge(-gain(instrument, scores[0].score, score.score), rc)
        if opened is None and is_worse:
            opened = score.date
        elif opened is not None and not is_worse:
            yield _of_episode(
                "deterioration", episode, opened, score.date, "recovered",
                instrument.code,
            )  # fmt: skip
            opened = None
    if opened is not None:
        yield _of_episode("deterioration", episode, opened, instrument=instrument.code)


def disengagement_signals(
    episode: Episode, as_of: date, settings: Settings
) -> Iterator[Signal]:
    """``disengagement``: at most one between two attended sessions."""
    attended = episode.attended
    latest = date.min  # local dates may go back where zones differ
    for last, following in zip(attended, [*attended[1:], None], strict=False):
        latest = max(latest, last.date)
        days = [
            day
            for day in (
                _missed_in_row(episode, last, following, as_of, settings),
                _silent_day(episode, latest, following, as_of, settings),
            )
            if day is not None
        ]
        if days:
            closed_on = following.date if following else None
            yield _of_episode(
                "disengagement", episode, min(days), closed_on, "attended"
            )


def _missed_in_row(
    episode: Episode, last: Session, following: Session | None, as_of: date,
    settings: Settings,
) -> date | None:  # fmt: skip
    """(a): the second of two missed sessions since the last attended one."""
    missed = sorted(
        (
            session
            for session in episode.sessions
            if session.status in MISSED
            and session.date <= as_of
            and session.order > last.order
            and (following is None or session.order < following.order)
        ),
        key=lambda session: session.order,
    )
    n = settings["signals.missed_in_row"]
    return missed[n - 1].date if len(missed) >= n else None


def _silent_day(
    episode: Episode, last: date, following: Session | None, as_of: date,
    settings: Settings,
) -> date | None:  # fmt: skip
    """(b): the first silent day on which no appointment lies ahead."""
    day = last + timedelta(days=settings["signals.silent_days"])
    until = as_of if following is None else following.date - timedelta(days=1)
    ahead = timedelta(days=settings["signals.booked_days"])
    while day <= min(until, as_of):
        if not any(
            day < session.date <= day + ahead and session.status != "voided"
            for session in episode.sessions
        ):
            return day
        day += timedelta(days=1)
    return None
