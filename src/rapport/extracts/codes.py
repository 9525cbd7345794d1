"""What each code of a package means, in a few words: for codebook and descriptor (D)."""

from __future__ import annotations

import csv
from functools import cache

from rapport.extracts.columns import MASKED, MISSING, OTHER, OTHER_UNITS, Column
from rapport.settings import PROJECT_ROOT

_EVERYWHERE = {
    MASKED: "hidden, so that nobody stands alone",
    MISSING: "not recorded",
    "total": "all of the rows below it",
    "none": "no such score, or none fell",
    "true": "yes",
    "false": "no",
}
_OF_COLUMN = {
    "race_group": {
        "hispanic": "Hispanic or Latino, of any race",
        "not_white": "any group but white",
    },
    "state": {
        "Northeast": "Census region",
        "Midwest": "Census region",
        "South": "Census region, with the District of Columbia",
        "West": "Census region",
        "Territories": "Puerto Rico, Guam, Virgin and Mariana Islands, American Samoa",
        OTHER: "outside the United States, or not known",
    },
    "zip3": {"000": "20,000 people or fewer, not known, or abroad"},
    "dx_group": {OTHER: "not an ICD-10 code, or in no block"},
    "clinic_group": {OTHER_UNITS: "clinics that are pooled, being too small alone"},
    "pattern": {
        "insufficient": "too few scores to tell",
        "no_rupture": "no rupture",
        "repaired": "every rupture repaired",
        "pending": "a rupture that is not settled yet",
        "unrepaired": "a rupture that was not repaired",
    },
    "band": {
        "weak": "lowest band of the alliance score",
        "moderate": "middle band of the alliance score",
        "strong": "highest band of the alliance score",
    },
    "strength": {
        "possible": "a drop of the reliable change or more",
        "likely": "a drop of one and a half times the reliable change or more",
    },
    "lead_component": {
        "goal": "agreement on goals fell most",
        "task": "agreement on tasks fell most",
        "bond": "the bond fell most",
        "none": "no subscale scores",
    },
    "shape": {
        "v": "down and up again",
        "u": "down, low for a while, and up again",
        "l": "down, and not up again",
    },
    "rupture_status": {
        "pending": "not settled yet",
        "resolved": "repaired within three scores",
        "late_repair": "repaired later",
        "unresolved": "not repaired after three scores",
        "unresolved_at_close": "not repaired when the episode closed",
    },
    "reliable_change": {
        "improved": "better by the reliable change or more",
        "no_change": "within the reliable change",
        "deteriorated": "worse by the reliable change or more",
    },
    "clinical_class": {
        "recovered": "reliably better, and past the clinical cut-off",
        "improved": "reliably better",
        "unchanged": "within the reliable change",
        "deteriorated": "reliably worse",
        "not_at_risk": "beyond the cut-off from the start",
        "insufficient": "fewer than two scores, or no such value of the questionnaire",
    },
    "closure_reason": {"open": "not closed"},
}
_UNITS = {
    "age_band": "years",
    "n_sessions_band": "attended sessions",
    "duration_band": "minutes",
}


def meaning(table: str, column: Column, code: str) -> str:
    """Return what a code of a column means; empty where it says so itself."""
    name = column.name
    if name == "place":
        name = "state"
    own = "rupture_status" if (table, name) == ("ruptures", "status") else name
    found = _OF_COLUMN.get(own, {}).get(code) or _EVERYWHERE.get(code)
    if found:
        return found
    if own == "rupture_status":
        return ""
    if name in ("instrument", "method"):
        return _registered(name, code)
    if name in _UNITS:
        return f"{_span(code)} {_UNITS[name]}"
    if name in ("index_year", "period"):
        return f"{_span(code)}" if "-" in code else f"the year {code}"
    if name == "dx_group":
        return f"ICD-10 {'categories' if '-' in code else 'chapter of codes with'} {_span(code)}"  # fmt: skip
    if name == "zip3":
        return f"postal codes that begin with {code}"
    if name == "clinic_group":
        return "pseudonym of a clinic"
    if name == "age":
        return "90 years or more" if code == "90+" else f"{code} years"
    return _listed().get((_LISTS.get(name, name), code)) or _RECODED.get(code, "")


_LISTS = {"race_group": "race"}
_RECODED = {OTHER: "any other, or one that too few share"}


def _span(code: str) -> str:
    if code.endswith("+"):
        return f"{code[:-1]} or more"
    return code.replace("-", " to ")


def _registered(kind: str, code: str) -> str:
    if kind == "method":
        row = _seed("rupture_method").get(code)
        return f"rule for ruptures: {row['source']}" if row else ""
    row = _seed("instrument").get(code)
    return f"questionnaire on {row['domain']}: {row['citation']}" if row else ""


@cache
def _seed(name: str) -> dict[str, dict[str, str]]:
    path = PROJECT_ROOT / "dbt_project" / "seeds" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first = next(iter(rows[0]))
    return {row[first]: row for row in rows}


@cache
def _listed() -> dict[tuple[str, str], str]:
    path = PROJECT_ROOT / "dbt_project" / "seeds" / "code_list.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {(r["column"], r["code"]): r["label"] for r in csv.DictReader(file)}
