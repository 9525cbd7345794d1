"""Section F2: overlap of the two sides' goals."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from oracle.decimals import lt
from oracle.settings import Settings

_SIDES = ("client", "therapist")
_NAMES_NOTHING = ("other", "unknown")


@dataclass(frozen=True)
class Goal:
    """One row of a goal's history, of one episode."""

    key: str
    side: str
    recorded_at: datetime
    date: date
    domain: str
    status: str | None


def overlap_row(
    history: list[Goal], as_of: date, settings: Settings
) -> dict[str, Any] | None:
    """F2: one row of ``fct_goal_overlap``; null without a row from either side."""
    history = [goal for goal in history if goal.side in _SIDES and goal.date <= as_of]
    if not history:
        return None
    days = sorted({goal.date for goal in history})
    sets = {day: [_current_set(history, side, day) for side in _SIDES] for day in days}
    client, therapist = sets[days[-1]]
    overlaps = [_overlap(*sets[day]) for day in days]
    overlap = overlaps[-1]
    revisions = _revisions([sets[day][1] for day in days])
    return {
        "n_client_goals": len(client),
        "n_therapist_goals": len(therapist),
        "n_shared": len(client & therapist),
        "overlap": overlap,
        "overlap_first": next((o for o in overlaps if o is not None), None),
        "n_therapist_revisions": revisions,
        "is_inconsistent": None
        if overlap is None
        else lt(overlap, settings["goals.inconsistent_below"]) and revisions >= 1,
    }


def _current_set(history: list[Goal], side: str, day: date) -> set[str]:
    """Distinct domains of a side's goals that stand at the end of a date."""
    latest: dict[str, Goal] = {}
    for goal in sorted(history, key=lambda goal: goal.recorded_at):
        if goal.side == side and goal.date <= day:
            latest[goal.key] = goal
    return {
        goal.domain
        for goal in latest.values()
        if goal.status not in ("closed", "dropped")
        and goal.domain not in _NAMES_NOTHING
    }


def _overlap(client: set[str], therapist: set[str]) -> float | None:
    if not client or not therapist:
        return None
    return len(client & therapist) / len(client | therapist)


def _revisions(sets: list[set[str]]) -> int:
    """Dates after the first non-empty therapist set at whose end the set differs."""
    first = next((place for place, one in enumerate(sets) if one), len(sets))
    after = sets[first:]
    return sum(a != b for a, b in itertools.pairwise(after))
