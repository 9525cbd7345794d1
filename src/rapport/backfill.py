"""``rapport backfill``: past nights again, in order (ADR 0055).

Each is the whole chain with as-of and known-on of its date. A night that never was (the
machine was down) is published, and the signal log learns of it. A night that lies at or
before the published one goes into ``published/history`` alone: the snapshot, the signal
log, what was first seen and the digests stay as they are, since history is not rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from rapport import observe
from rapport.errors import GateRefused, UsageError
from rapport.night import STEP_FUNCTIONS, STEPS, build, ingest, start_run, today
from rapport.settings import Settings
from rapport.state import ControlState, writer_lock
from rapport.warehouse.build import night_inputs

MOST_NIGHTS = 3660
# What a night that goes into the history alone needs of the chain.
_OF_THE_PAST = ("build", "validate", "publish")


@dataclass(frozen=True)
class PastNight:
    """What one date came to: published, rebuilt, refused or skipped."""

    as_of: date
    outcome: str
    run_id: str


def backfill(
    settings: Settings, first: date, last: date, *, again: bool = False
) -> list[PastNight]:
    """Run the nights of some dates in order; a refused one does not stop the next.

    A date that was published or rebuilt from the same inputs is skipped, so that a run
    that was cut off goes on where it stopped.

    Args:
        settings: the settings.
        first: the first date.
        last: the last date.
        again: skip nothing.

    Raises:
        UsageError: the dates are not in order, or lie in the future (exit 2).
    """
    n_nights = (last - first).days + 1
    if n_nights < 1 or last > today(settings) or n_nights > MOST_NIGHTS:
        raise UsageError(
            "--from must not be after --to, nor --to after today, and at most "
            f"{MOST_NIGHTS} nights lie between",
        )
    found = []
    with writer_lock(settings.home):
        with observe.step("ingest", "take deliveries in"):
            ingest(settings)
        for number in range(n_nights):
            day = first + timedelta(days=number)
            observe.say(f"night {number + 1} of {n_nights}: {day}")
            night = None if again else _already(settings, day)
            found.append(night or _one_night(settings, day))
            observe.say(f"  {day}: {found[-1].outcome}")
    return found


def _already(settings: Settings, day: date) -> PastNight | None:
    state = ControlState(settings.home)
    inputs = night_inputs(settings, state, day, day)
    for run in reversed(state.runs()):
        stands = run.outcome in ("published", "rebuilt")
        if stands and run.as_of == day and run.inputs == inputs:
            return PastNight(day, "skipped", run.run_id)
    return None


def _one_night(settings: Settings, day: date) -> PastNight:
    is_past = _is_past(ControlState(settings.home), day)
    run_id = start_run(settings, day, day, is_past=is_past)
    try:
        for name, label in STEPS.items():
            if is_past and name not in _OF_THE_PAST:
                continue
            with observe.step(name, label):
                if name == "build":
                    build(settings, run_id)
                else:
                    STEP_FUNCTIONS[name](settings, run_id)
    except GateRefused as refused:
        observe.say(f"rapport: {refused.message}")
        return PastNight(day, "refused", run_id)
    return PastNight(day, "rebuilt" if is_past else "published", run_id)


def _is_past(state: ControlState, day: date) -> bool:
    """Tell whether a date lies behind the snapshot: by its date, or by what it knew."""
    published = [run for run in state.nights() if run.outcome == "published"]
    if not published:
        return False
    last = published[-1]
    return day <= last.as_of or any(
        day < delivery.received_at.date() <= (last.known_on or date.max)
        and delivery.picked_up_at <= last.started_at
        for delivery in state.deliveries()
    )


def summary_lines(nights: list[PastNight]) -> list[str]:
    """Say what all of them came to."""
    count = {
        outcome: sum(night.outcome == outcome for night in nights)
        for outcome in ("published", "rebuilt", "refused", "skipped")
    }
    lines = [
        f"{len(nights)} nights: {count['published']} published, {count['rebuilt']} "
        f"rebuilt for the history, {count['refused']} refused, {count['skipped']} "
        "skipped (the same inputs)"
    ]
    refused = [night for night in nights if night.outcome == "refused"]
    for night in refused:
        lines.append(f"  refused: {night.as_of} ({night.run_id})")
    if refused:
        lines.append(
            "  Next: docs/runbooks/refused-night.md, then the same rapport backfill"
        )
    return lines
