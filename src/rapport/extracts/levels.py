"""Levels of generalisation of each quasi-identifier, each nested in the next (C5)."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from rapport.extracts.columns import AGE_BANDS, MASKED, MISSING, OTHER, SESSION_BANDS

WEIGHTS = {
    "index_year": 2,
    "age_band": 3,
    "sex": 2,
    "race_group": 3,
    "state": 1,
    "zip3": 1,
    "n_sessions_band": 2,
    "dx_group": 3,
}
# The level at which a column is `*`: left out of the table.
TOP = {
    "index_year": 3,
    "age_band": 3,
    "sex": 1,
    "race_group": 2,
    "state": 2,
    "zip3": 1,
    "n_sessions_band": 2,
    "dx_group": 2,
}
# Local suppression goes in this order (C5.4); zip3 stands where state would.
SUPPRESSION_ORDER = (
    "state",
    "zip3",
    "dx_group",
    "race_group",
    "n_sessions_band",
    "age_band",
    "index_year",
    "sex",
)
_AGE_1 = ("0-19", "20-39", "40-59", "60-79", "80+")
_SESSIONS_1 = {"1-2": "1-5", "3-5": "1-5", "6-11": "6-23", "12-23": "6-23"}
# Source: US Census Bureau, Census Regions and Divisions of the United States.
_REGIONS = {
    "Northeast": "CT ME MA NH RI VT NJ NY PA",
    "Midwest": "IL IN MI OH WI IA KS MN MO NE ND SD",
    "South": "DE DC FL GA MD NC SC VA WV AL KY MS TN AR LA OK TX",
    "West": "AZ CO ID MT NV NM UT WY AK CA HI OR WA",
    "Territories": "PR GU VI AS MP",
}
_REGION_OF = {s: region for region, said in _REGIONS.items() for s in said.split()}
_ICD10 = re.compile(r"^([A-Z])(\d[0-9A-Z])")


def generalised(column: str, level: int, value: str) -> str:
    """Return a value at a level; ``missing`` and ``masked`` stay what they are."""
    if value in (MISSING, MASKED) or level == 0:
        return value
    if column == "index_year":
        span = 2 * level
        first = int(value) // span * span
        return f"{first}-{first + span - 1}"
    if column == "age_band":
        at_1 = _AGE_1[min(AGE_BANDS.index(value) // 2, 4)]
        if level == 1:
            return at_1
        return {"20-39": "20-59", "40-59": "20-59"}.get(
            at_1, at_1 if at_1 == "0-19" else "60+"
        )
    if column == "race_group":
        if value == "unknown":
            return MISSING
        return value if value == "white" else "not_white"
    if column == "state":
        return _REGION_OF.get(value, OTHER)
    if column == "n_sessions_band":
        return _SESSIONS_1.get(value, "24+")
    if column == "dx_group":
        return OTHER if value == OTHER else value[0]
    raise ValueError(f"{column} has no level {level}")


def domain(column: str, level: int, seen: tuple[str, ...]) -> tuple[str, ...]:
    """List what a column may hold at a level: a superset of what occurs.

    Args:
        column: a quasi-identifier.
        level: its level in the table.
        seen: the values that occur in it there.
    """
    base = {
        "age_band": AGE_BANDS,
        "n_sessions_band": SESSION_BANDS,
        "state": tuple(_REGION_OF),
        "dx_group": (*(block for block, _, _ in blocks()), OTHER),
        "race_group": ("white", "black") if level else (),
    }.get(column, ())
    values = {*(generalised(column, level, value) for value in base), *seen}
    return (*sorted(values - {MASKED, MISSING}), MISSING, MASKED)


@cache
def blocks() -> tuple[tuple[str, str, str], ...]:
    """Return every block of the ICD-10 with its first and last category.

    Source: WHO, ICD-10 Version 2019, list of blocks (``icd10_block.md`` beside it).
    """
    path = Path(__file__).with_name("icd10_block.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return tuple((r["block"], r["first"], r["last"]) for r in csv.DictReader(file))


@cache
def diagnosis_block(system: str | None, code: str | None) -> str:
    """Return the ICD-10 block of a code; another system's code is ``other``."""
    if not code:
        return MISSING
    match = _ICD10.match(code.strip().upper())
    if system not in ("icd10", "dsm5") or match is None:
        return OTHER
    category = match.group(0)
    for block, first, last in blocks():
        if first <= category <= last:
            return block
    return OTHER


def age_band(age: int | None) -> str:
    """Return the ten-year band of an age in years; a negative one is ``missing``."""
    if age is None or age < 0:
        return MISSING
    return AGE_BANDS[min(age // 10, 9)]
