"""Funnel limits by scipy's binomial, read off quality_improvement.md 3.5."""

from math import asin, pi, sin, sqrt
from statistics import fmean

import numpy as np
from scipy.stats import binom


def exact_limit(q: float, n: int, theta: float) -> float:
    """Return the exact binomial limit of a probability, interpolated."""
    r = int(binom.ppf(q, n, theta))
    over = binom.cdf(r, n, theta) - q
    step = binom.cdf(r, n, theta) - (binom.cdf(r - 1, n, theta) if r else 0)
    return min(1.0, max(0.0, (r - over / step) / n))


def overdispersion(units: list[tuple[int, int]], theta: float) -> tuple[float, float]:
    """Return phi and tau squared of (numerator, denominator) of five units or more."""
    z = [(asin(sqrt(x / n)) - asin(sqrt(theta))) * 2 * sqrt(n) for x, n in units]
    low, high = np.percentile(z, [10, 90])
    k = len(units)
    phi = fmean(min(max(one, low), high) ** 2 for one in z)
    if k * phi < k - 1:
        return phi, 0.0
    w = [4 * n for _, n in units]
    divisor = sum(w) - sum(one * one for one in w) / sum(w)
    return phi, max(0.0, (k * phi - (k - 1)) / divisor)


def wide_limits(c: float, n: int, theta: float, tau2: float) -> tuple[float, float]:
    """Return the limits that allow for overdispersion."""
    half = c * sqrt(1 / (4 * n) + tau2)
    low = max(0.0, asin(sqrt(theta)) - half)
    return sin(low) ** 2, sin(min(pi / 2, asin(sqrt(theta)) + half)) ** 2
