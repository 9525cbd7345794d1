"""Section F: congruence of the two views, and goal mismatch."""

from __future__ import annotations

import itertools
import math
from typing import Any

from oracle.alliance import AllianceSession
from oracle.decimals import ge, le, mean
from oracle.registry import Instrument
from oracle.settings import Settings


def congruence_row(
    component: str, rows: list[AllianceSession], instrument: Instrument,
    settings: Settings,
) -> dict[str, Any] | None:  # fmt: skip
    """F: one row of ``fct_congruence``; null without a pair.

    Args:
        component: total, goal, task or bond.
        rows: alliance sessions of one episode and instrument, in session-number order.
        instrument: the instrument.
        settings: the settings.
    """
    pairs = [
        (row.client[component], row.therapist[component])
        for row in rows
        if row.gap[component] is not None
    ]
    if not pairs:
        return None
    gaps = [therapist - client for client, therapist in pairs]
    is_enough = len(pairs) >= settings["congruence.min_pairs"]
    mean_gap = mean(gaps) if is_enough else None
    return {
        "n_pairs": len(pairs),
        "mean_gap": mean_gap,
        "abs_gap": mean([abs(gap) for gap in gaps]) if is_enough else None,
        "correlation": _pearson(pairs)
        if len(pairs) >= settings["congruence.min_pairs_r"]
        else None,
        "direction": _direction(mean_gap, instrument, settings),
        "goal_mismatch": _mismatch(gaps, instrument, settings)
        if component == "goal"
        else None,
    }


def _pearson(pairs: list[tuple[float, float]]) -> float | None:
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    mx, my = mean(xs), mean(ys)
    vx = math.fsum((x - mx) ** 2 for x in xs)
    vy = math.fsum((y - my) ** 2 for y in ys)
    if vx / len(xs) <= 1e-12 or vy / len(ys) <= 1e-12:
        return None
    return math.fsum((x - mx) * (y - my) for x, y in pairs) / math.sqrt(vx * vy)


def _direction(
    mean_gap: float | None, instrument: Instrument, settings: Settings
) -> str | None:
    if mean_gap is None:
        return None
    limit = settings["congruence.aligned_below"] * instrument.unit
    if ge(mean_gap, limit):
        return "therapist_higher"
    return "client_higher" if le(mean_gap, -limit) else "aligned"


def is_wide(gap: float, instrument: Instrument, settings: Settings) -> bool:
    """F: |gap| ≥ 1·u."""
    return ge(abs(gap), settings["congruence.goal_gap"] * instrument.unit)


def _mismatch(
    gaps: list[float], instrument: Instrument, settings: Settings
) -> bool | None:
    """F: two consecutive pairs, both wide, same sign."""
    if len(gaps) < 2:
        return None
    return any(
        is_wide(a, instrument, settings)
        and is_wide(b, instrument, settings)
        and (a > 0) == (b > 0)
        for a, b in itertools.pairwise(gaps)
    )
