"""Numbers, months and verdicts in words, the same on every page and in `rapport chart`.

Values are rounded half up here and nowhere before (quality_improvement.md 1.6).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TypeAlias

Row: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal[
    "count", "whole", "share", "score", "rate", "number", "word", "month", "date"
]

HIDDEN = "hidden to protect small groups"
NOTHING = "no data"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December",
)  # fmt: skip
_RUN_BELOW = 12
_USEFUL_BELOW = 10


def half_up(value: float, digits: int) -> str:
    """Return a number rounded half up, with thousands apart and a true minus sign.

    It is first brought to nine decimals, so that 0.28500000000000003 is a half, too.
    """
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-9), ROUND_HALF_UP)
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{abs(rounded) if rounded == 0 else rounded:,}".replace("-", "−")


def shown(value: Any, kind: Kind) -> str:
    """Return a value that is there as its page writes it."""
    if kind == "count":
        return f"{value:,}"
    if kind == "whole":
        return half_up(value, 0)
    if kind == "share":
        return f"{half_up(value * 100, 0)} %"
    if kind == "rate":
        return half_up(value * 100, 1)
    if kind == "score":
        return half_up(value, 1)
    if kind == "number":
        return half_up(value, 2)
    if kind == "month":
        return f"{value:%Y-%m}"
    if kind == "date":
        return f"{value:%Y-%m-%d}"
    return str(value).replace("_", " ")


def is_hidden(row: Row, column: str, of: str | None = None) -> bool:
    """Tell whether a null is hidden, not merely without a value.

    Args:
        row: a row of a qi table, or of a chart with ``is_hidden``.
        column: the column that is null.
        of: the share's own denominator: 0 says that there is nothing to share.
    """
    if row[column] is not None:
        return False
    if row.get("suppressed") or row.get("is_hidden"):
        return True
    return bool(row.get("partly_suppressed")) and (of is None or row[of] is None)


def said(row: Row, column: str, kind: Kind, of: str | None = None) -> str:
    """Return a cell for a sentence."""
    if is_hidden(row, column, of):
        return HIDDEN
    return NOTHING if row[column] is None else shown(row[column], kind)


def cell(row: Row, column: str, kind: Kind, of: str | None = None) -> str:
    """Return a cell for a table: its value, `hidden`, or a dash when there is none."""
    if is_hidden(row, column, of):
        return "hidden"
    return "–" if row[column] is None else shown(row[column], kind)


def month_name(month: date) -> str:
    """Return a month as `October 2026`, whatever the machine's language."""
    return f"{_MONTHS[month.month - 1]} {month.year}"


def short_month(month: date) -> str:
    """Return a month as `Oct 2026`."""
    return f"{_MONTHS[month.month - 1][:3]} {month.year}"


def period_name(start: date, months: int) -> str:
    """Return a cohort's period as `July–September 2026`, or its month alone."""
    last = (start.month + months - 2) % 12
    if months == 1:
        return month_name(start)
    if months == 12:
        return str(start.year)
    return f"{_MONTHS[start.month - 1]}–{_MONTHS[last]} {start.year}"


def isolated(name: str) -> str:
    """Return a name that can't turn or hide the words around it.

    Marks that steer the direction of text are taken out; a name that is written from
    right to left is put between the marks that isolate it (Unicode UAX 9).
    """
    kinds = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    plain = "".join(c for c in name if unicodedata.bidirectional(c) not in kinds)
    turns = any(unicodedata.bidirectional(c) in ("R", "AL") for c in plain)
    return f"\u2068{plain}\u2069" if turns else plain


def listed(names: Sequence[str]) -> str:
    """Return names with commas, and `and` before the last."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def verdict(
    series: Row,
    points: Sequence[Row],
    longest_side: str | None = None,
    trend_points: int = 6,
    shift_points: int = 8,
) -> str:
    """Say what a chart's last segment says (quality_improvement.md 4.2).

    Args:
        series: the row of the chart's last segment, as in ``qi.spc_series``.
        points: the chart's rows in month order, as in ``qi.spc_point``.
        longest_side: `above` or `below`: where the longest run of a run chart lies.
        trend_points: how many months make a trend.
        shift_points: how many months make a shift.
    """
    if series["limits"] == "none":
        return _run_verdict(series, longest_side)
    point = _last_used(series, points)
    if point["rule"] in (None, "none"):
        text = "No sign of change: the variation is what this process normally produces"
    else:
        text = "Worth a look: " + _special_cause(
            point, series["direction"], trend_points, shift_points
        )
    return text + ("; limits are provisional." if series["limits"] == "trial" else ".")


def _last_used(series: Row, points: Sequence[Row]) -> Row:
    return [p for p in points if p["used"] and p["segment"] == series["segment"]][-1]


def _special_cause(point: Row, direction: str, trend: int, shift: int) -> str:
    is_up = point["side"] == "up"
    limit = "upper" if is_up else "lower"
    place = "above" if is_up else "below"
    if point["rule"] == "outside":
        return (
            f"{month_name(point['month'])} is {place} the {limit} limit"
            f"{_better(point['side'], direction)}"
        )
    if point["rule"] == "trend":
        return f"{trend} months {'rising' if is_up else 'falling'} in a row"
    if point["rule"] == "two_of_three":
        return f"2 of 3 months near the {limit} limit"
    return f"{shift} months in a row {place} the centre"


def _better(side: str, direction: str) -> str:
    if direction == "neutral":
        return ""
    return f" ({'better' if side == direction else 'worse'} direction)"


def _run_verdict(series: Row, longest_side: str | None) -> str:
    n = series["n_points"]
    if series["run_signal"] is None:
        if n < _RUN_BELOW:
            return f"Too little data to say ({n} of {_RUN_BELOW} months)."
        return (
            f"Too little data to say ({series['run_n_useful'] or 0} of {_USEFUL_BELOW} "
            "months that differ from the median)."
        )
    found = []
    if series["run_signal"]:
        if series["run_longest"] > series["run_longest_max"]:
            side = f" {longest_side} the median" if longest_side else ""
            found.append(f"an unusually long run{side}")
        if series["run_crossings"] < series["run_crossings_min"]:
            found.append("too few crossings")
    return f"Run chart ({n} months): {' and '.join(found) or 'no sign of change'}."
