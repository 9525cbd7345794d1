"""The limits of the disclosure gate, held against figures measured on files (C5.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapport.extracts.generalise import MAX_SHARE, MIN_DISTINCT
from rapport.extracts.risk import MAX_MEAN_RISK


def gate_problems(report: Mapping[str, Any]) -> list[str]:
    """Name every limit that the measured figures do not keep; never which person."""
    wrong = []
    if report["k_min"] < report["k_required"]:
        wrong.append(
            f"k: smallest class has {report['k_min']} persons, needs "
            f"{report['k_required']}"
        )
    for name, least in report["l_min"].items():
        if least < MIN_DISTINCT:
            wrong.append(
                f"l: a class holds {least} value of {name}, needs {MIN_DISTINCT}"
            )
    budget = int(MAX_SHARE * report["n_requested"])
    if report["n_masked"] + report["n_dropped"] > budget:
        wrong.append(
            f"masked or dropped: {report['n_masked'] + report['n_dropped']} persons, "
            f"limit {budget}"
        )
    if report["trajectory"]["mean"] > MAX_MEAN_RISK:
        wrong.append(
            f"trajectory: mean risk {report['trajectory']['mean']:.3f}, limit "
            f"{MAX_MEAN_RISK}"
        )
    return wrong
