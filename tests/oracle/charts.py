"""Charts over time in plain Python, read off quality_improvement.md 3; no code of the SQL."""

from dataclasses import dataclass
from itertools import pairwise
from math import log2, sqrt
from statistics import fmean, median

from scipy.stats import binom


@dataclass(frozen=True)
class Point:
    """One point: a value, and what it is a share of."""

    value: float
    numerator: int = 0
    denominator: int = 0


def _at(value: float) -> float:
    return round(value, 9)


def limits_of(points: list[Point], kind: str) -> dict:
    """Return the limits of one segment, or the reason that it has none."""
    none = {"limits": "none", "cl": None, "mr_bar": None, "screening": None,
            "sigma_z": None, "sigma_z_raw": None}  # fmt: skip
    n = len(points)
    if n < 12:
        return {**none, "reason": "too_few_points"}
    base = points[:24]
    if kind == "xmr":
        cl = fmean(p.value for p in base)
        z = [p.value for p in base]
    else:
        cl = sum(p.numerator for p in base) / sum(p.denominator for p in base)
        bound = cl in (0, 1) if kind == "p_prime" else cl == 0
        if bound:
            return {**none, "reason": "rate_at_bound"}
        spread = cl * (1 - cl) if kind == "p_prime" else cl
        z = [(p.value - cl) / sqrt(spread / p.denominator) for p in base]
        each = min(cl, 1 - cl) if kind == "p_prime" else cl
        if _at(median(p.denominator * each for p in base)) < 3:
            return {**none, "reason": "small_denominators"}
    ranges = [abs(b - a) for a, b in pairwise(z)]
    raw = fmean(ranges)
    if kind == "xmr" and _at(raw) == 0:
        return {**none, "reason": "no_variation"}
    kept = [r for r in ranges if _at(r) < _at(3.267 * raw)]
    mr, screening = raw, "none"
    if len(kept) < len(ranges):
        screening = "fallback"
        if 4 * len(kept) >= 3 * len(ranges) and fmean(kept) > 0:
            mr, screening = fmean(kept), "applied"
    found = {"limits": "trial" if n < 24 else "fixed", "reason": None, "cl": cl,
             "mr_bar": mr, "screening": screening, "sigma_z": None,
             "sigma_z_raw": None}  # fmt: skip
    if kind != "xmr":
        found |= {"sigma_z_raw": mr / 1.128, "sigma_z": max(1.0, mr / 1.128)}
    return found


def lines_of(point: Point, kind: str, found: dict) -> tuple[float, ...]:
    """Return lcl, ucl, lo2 and hi2 at a point."""
    cl = found["cl"]
    if kind == "xmr":
        sigma = 2.66 * found["mr_bar"] / 3
    else:
        spread = cl * (1 - cl) if kind == "p_prime" else cl
        sigma = found["sigma_z"] * sqrt(spread / point.denominator)
    lines = [cl - 3 * sigma, cl + 3 * sigma, cl - 2 * sigma, cl + 2 * sigma]
    if kind != "xmr":
        lines = [max(0.0, line) for line in lines]
    if kind == "p_prime":
        lines = [min(1.0, line) for line in lines]
    return tuple(lines)


def rules_of(
    points: list[Point], kind: str, found: dict, shift: int, trend: int
) -> list[tuple[str, str | None]]:
    """Return (rule, side) of each point."""
    v = [_at(p.value) for p in points]
    lines = [[_at(x) for x in lines_of(p, kind, found)] for p in points]
    cl = _at(found["cl"])
    n = len(v)
    outside: dict[int, str] = {}
    for i, (low, high, _, _) in enumerate(lines):
        if v[i] > high:
            outside[i] = "up"
        elif v[i] < low:
            outside[i] = "down"
    trended: dict[int, set[str]] = {}
    for i in range(n - trend + 1):
        steps = [v[j + 1] - v[j] for j in range(i, i + trend - 1)]
        for side, holds in (("up", min(steps) > 0), ("down", max(steps) < 0)):
            if holds:
                for j in range(i, i + trend):
                    trended.setdefault(j, set()).add(side)
    near: dict[int, str] = {}
    for i in range(n - 2):
        for side, sign in (("up", 1), ("down", -1)):
            three = range(i, i + 3)
            if not all((v[j] - cl) * sign > 0 for j in three):
                continue
            beyond = [
                j
                for j in three
                if j not in outside
                and (v[j] > lines[j][3] if side == "up" else v[j] < lines[j][2])
            ]
            if len(beyond) >= 2:
                near |= dict.fromkeys(beyond, side)
    shifted: dict[int, str] = {}
    for i in range(n - shift + 1):
        for side, sign in (("up", 1), ("down", -1)):
            if all((v[j] - cl) * sign > 0 for j in range(i, i + shift)):
                shifted |= dict.fromkeys(range(i, i + shift), side)
    told: list[tuple[str, str | None]] = []
    for i in range(n):
        if i in outside:
            told.append(("outside", outside[i]))
        elif i in trended:
            sides = trended[i]
            rises = i > 0 and v[i] > v[i - 1]
            # A point of two trends is told by the one that led to it.
            both = "up" if rises else "down"
            told.append(("trend", both if len(sides) == 2 else min(sides)))
        elif i in near:
            told.append(("two_of_three", near[i]))
        elif i in shifted:
            told.append(("shift", shifted[i]))
        else:
            told.append(("none", None))
    return told


def runs_of(points: list[Point]) -> dict:
    """Return the runs about the median."""
    middle = median(p.value for p in points)
    sides = [p.value > middle for p in points if _at(p.value) != _at(middle)]
    n = len(sides)
    if not n:
        return {"run_median": middle, "run_n_useful": 0, "run_signal": None}
    longest = run = 1
    crossings = 0
    for a, b in pairwise(sides):
        run = run + 1 if a == b else 1
        crossings += a != b
        longest = max(longest, run)
    longest_max = round(log2(n)) + 3
    crossings_min = int(binom.ppf(0.05, n - 1, 0.5)) if n > 1 else 0
    signal = longest > longest_max or crossings < crossings_min
    return {"run_median": middle, "run_n_useful": n, "run_longest": longest,
            "run_longest_max": longest_max, "run_crossings": crossings,
            "run_crossings_min": crossings_min,
            "run_signal": signal if n >= 10 else None}  # fmt: skip
