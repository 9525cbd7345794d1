"""Section G: outcomes, early alliance, stall, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from oracle.alliance import AllianceSession, band
from oracle.decimals import ge, le, lt
from oracle.linking import last_order
from oracle.registry import OUTCOMES, Instrument
from oracle.ruptures import SUBSCALES
from oracle.scoring import Administration
from oracle.sessions import Episode
from oracle.settings import Settings

_ENDED_OTHERWISE = ("completed", "referred", "transferred", "deceased")


@dataclass(frozen=True)
class OutcomeScore:
    """The used score of a day (B10)."""

    date: date
    score: float
    session_number: int | None  # of the form's session


def outcome_scores(
    episode: Episode, instrument: Instrument, forms: list[Administration]
) -> list[OutcomeScore]:
    """B10, G1: one score a day, in (date, administered_at, id) order."""
    by_day: dict[date, Administration] = {}
    own = [
        form
        for form in forms
        if form.episode is episode
        and form.code == instrument.code
        and form.valid() is not None
    ]
    for form in sorted(own, key=last_order):
        by_day[form.date] = form
    return [
        OutcomeScore(day, form.valid(), form.session.number if form.session else None)
        for day, form in sorted(by_day.items())
    ]


def gain(instrument: Instrument, before: float, after: float) -> float:
    """G1: first − last where lower is better, else last − first."""
    return after - before if instrument.higher_is_better else before - after


def reliable_change(
    instrument: Instrument, first: float, last: float, settings: Settings
) -> str | None:
    """G1, of two scores; null without a reliable change of the instrument."""
    rc = instrument.rc_total_of(settings)
    if rc is None:
        return None
    g = gain(instrument, first, last)
    if ge(g, rc):
        return "improved"
    return "deteriorated" if ge(-g, rc) else "no_change"


def clinical_class(
    instrument: Instrument, scores: list[float], settings: Settings
) -> str:
    """G1: the first that holds."""
    first, last = scores[0], scores[-1]
    change = reliable_change(instrument, first, last, settings)
    was_clinical = instrument.is_clinical(first, settings)
    if len(scores) < 2 or change is None or was_clinical is None:
        return "insufficient"
    if change == "deteriorated":
        return "deteriorated"
    if not was_clinical:
        return "not_at_risk"
    if settings["outcomes.recovery_rule"] == "nhs":
        is_recovered = not instrument.is_clinical(last, settings)
    else:
        is_recovered = change == "improved" and bool(
            instrument.is_functional(last, settings)
        )
    if is_recovered:
        return "recovered"
    return "improved" if change == "improved" else "unchanged"


def outcome_row(
    instrument: Instrument, scores: list[OutcomeScore], settings: Settings
) -> dict[str, Any]:
    """G1: one row of ``fct_episode_outcome``, without the early alliance."""
    first, last = scores[0].score, scores[-1].score
    has_two = len(scores) > 1
    return {
        "first_score": first,
        "last_score": last,
        "change": last - first if has_two else None,
        "reliable_change": reliable_change(instrument, first, last, settings)
        if has_two
        else None,
        "clinical_class": clinical_class(
            instrument, [score.score for score in scores], settings
        ),
        "n_scores": len(scores),
    }


def early_alliance(
    primary: Instrument | None, rows: list[AllianceSession], settings: Settings
) -> dict[str, Any]:
    """G2: the client total of the primary instrument at session 3, else 4, 5, 2, 1."""
    totals = {
        row.session.number: row.client["total"]
        for row in rows
        if row.instrument is primary and row.client["total"] is not None
    }
    for number in settings["early.sessions"]:
        if number in totals:
            assert primary is not None
            return {
                "early_alliance": totals[number],
                "early_alliance_session": number,
                "early_alliance_band": band(primary, totals[number], settings),
            }
    return {
        "early_alliance": None,
        "early_alliance_session": None,
        "early_alliance_band": None,
    }


# --- G3 --------------------------------------------------------------------------------


@dataclass
class Stall:
    """One row of ``fct_stall``."""

    episode: Episode
    instrument: str
    number: int
    date: date
    status: str
    resumed: OutcomeScore | None
    resumed_number: int | None
    weak_component: str = "none"
    reviewed_on: date | None = None
    alliance_reviewed: bool | None = None


def stalls_of(
    episode: Episode, instrument: Instrument, scores: list[OutcomeScore],
    settings: Settings,
) -> list[Stall]:  # fmt: skip
    """G3: the stalled spells of one episode and instrument, in order."""
    rc = instrument.rc_total_of(settings)
    if rc is None or instrument.clinical is None:
        return []
    k = settings["stall.window_scores"]
    stalls: list[Stall] = []
    stretch, at = 0, None  # where the stretch begins; where the open spell began
    for i, score in enumerate(scores):
        is_clinical = instrument.is_clinical(score.score, settings)
        if at is not None:
            gained = gain(instrument, scores[at].score, score.score)
            if ge(gained, rc) or not is_clinical:
                stalls[-1].status = "resumed"
                stalls[-1].resumed = score
                stalls[-1].resumed_number = number_of(episode, score)
                stretch, at = i, None
            continue
        if (
            is_clinical
            and number_of(episode, score) >= settings["stall.min_session"]
            and i - stretch + 1 >= k
            and lt(
                gain(instrument, scores[i - k + 1].score, score.score),
                settings["stall.min_gain"],
            )
        ):
            at = i
            status = "closed" if episode.is_closed else "open"
            number = number_of(episode, score)
            stalls.append(
                Stall(episode, instrument.code, number, score.date, status, None, None)
            )
    return stalls


def number_of(episode: Episode, score: OutcomeScore) -> int:
    """G3: its session's, else that of the last attended session on or before its date."""
    if score.session_number is not None:
        return score.session_number
    before = [s.number for s in episode.attended if s.date <= score.date]
    return max(before, default=0)


def describe_stall(
    stall: Stall, primary: Instrument | None, rows: list[AllianceSession],
    review_sessions: set[str], settings: Settings,
) -> None:  # fmt: skip
    """G3: weak component, and whether the alliance was reviewed.

    Args:
        stall: the spell.
        primary: the primary instrument of the episode.
        rows: the alliance sessions of the episode.
        review_sessions: keys of sessions that carry a valid client alliance total of any
            instrument, or strengthening work.
        settings: the settings.
    """
    first = stall.number - settings["stall.alliance_lookback"]
    near = [
        row
        for row in rows
        if row.instrument is primary
        and first <= row.session.number <= stall.number
        and all(row.client[part] is not None for part in SUBSCALES)
    ]
    if near:
        last = max(near, key=lambda row: row.session.number)
        stall.weak_component = _weakest(last)
    n_review = settings["stall.review_sessions"]
    coming = [s for s in stall.episode.attended if s.number > stall.number][:n_review]
    reviewed = [session for session in coming if session.key in review_sessions]
    if reviewed:
        stall.reviewed_on = reviewed[0].date
        stall.alliance_reviewed = True
    elif len(coming) < n_review and not stall.episode.is_closed:
        stall.alliance_reviewed = None
    else:
        stall.alliance_reviewed = False


def _weakest(row: AllianceSession) -> str:
    low, high = {"WAI-SR": (1, 5), "WAI-S": (1, 7), "SRS": (0, 10)}[row.instrument.code]
    shares = {part: (row.client[part] - low) / (high - low) for part in SUBSCALES}
    lowest = min(shares.values())
    return next(part for part, share in shares.items() if le(share, lowest))


# --- G4 --------------------------------------------------------------------------------


def dropout(
    episode: Episode, outcome_rows: dict[str, dict[str, Any]], as_of: date,
    settings: Settings,
) -> bool | None:  # fmt: skip
    """G4: whether the episode ended as a dropout, by the rule that is set."""
    rule, reason = settings["dropout.rule"], episode.closure_reason
    if rule == "inactivity":
        return _inactive(episode, as_of, settings)
    if not episode.is_closed:
        return None
    if rule == "coded":
        if reason == "dropped_out":
            return True
        return False if reason in _ENDED_OTHERWISE else None
    if rule == "unilateral_no_gain":
        if reason in _ENDED_OTHERWISE:
            return False
        if not outcome_rows:
            return None
        order = [instrument.code for instrument in OUTCOMES]
        most = max(
            outcome_rows,
            key=lambda code: (outcome_rows[code]["n_scores"], -order.index(code)),
        )
        return outcome_rows[most]["reliable_change"] != "improved"
    assert rule == "no_show_last"
    counted = [
        session
        for session in episode.sessions
        if session.date <= as_of
        and session.status
        in ("attended", "no_show", "late_cancelled", "client_cancelled")
    ]
    last = max(counted, key=lambda session: session.order, default=None)
    return (
        last is not None
        and last.status in ("no_show", "late_cancelled")
        and reason not in _ENDED_OTHERWISE
    )


def _inactive(episode: Episode, as_of: date, settings: Settings) -> bool | None:
    if episode.closure_reason in _ENDED_OTHERWISE:
        return False
    if episode.closure_reason == "dropped_out":
        return True
    attended = episode.attended
    is_silent = (
        bool(attended)
        and (as_of - attended[-1].date).days > settings["dropout.inactive_days"]
    )
    has_booking = any(
        session.status == "scheduled" and session.date > as_of
        for session in episode.sessions
    )
    if is_silent and not has_booking:
        return True
    return False if episode.is_closed else None
