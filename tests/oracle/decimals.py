"""How decimals are compared and averaged: the opening of the page (EPS) and K5."""

from __future__ import annotations

import math
from collections.abc import Sequence

EPS = 1e-6


def ge(a: float, b: float) -> bool:
    """a ≥ b, a tie counts."""
    return a >= b - EPS


def le(a: float, b: float) -> bool:
    """a ≤ b, a tie counts."""
    return a <= b + EPS


def gt(a: float, b: float) -> bool:
    """a > b, a tie does not count."""
    return a > b + EPS


def lt(a: float, b: float) -> bool:
    """a < b, a tie does not count."""
    return a < b - EPS


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sample_sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation; none of a single value."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1))


def median(values: Sequence[float]) -> float:
    """Middle value; of an even count the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
