"""Postal codes reduced to the three-digit prefixes that many people share.

Source: 45 CFR 164.514(b)(2)(i)(B); populations of the 2020 census (``zip3.csv``).
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

KEPT_POPULATION = 20_000
NOT_KEPT = "000"
_ZIP = re.compile(r"[0-9]{5}(-[0-9]{4})?")


@cache
def _kept_prefixes() -> frozenset[str]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return frozenset(
            row["zip3"]
            for row in csv.DictReader(file)
            if row["population_2020"].isdigit()
            and int(row["population_2020"]) > KEPT_POPULATION
        )


def reduced_postal_code(text: str) -> str:
    """Return the prefix if more than 20,000 people live there, else ``000``."""
    code = text.strip()
    is_kept = _ZIP.fullmatch(code) and code[:3] in _kept_prefixes()
    return code[:3] if is_kept else NOT_KEPT
