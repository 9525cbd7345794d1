"""``rapport change``: what was changed in the process, so that limits are taken afresh.

A recorded change stands in ``process_changes.toml`` of RAPPORT_HOME, beside
``rapport.toml`` (ADR 0034), and in the audit log: it decides what counts as a signal.
"""

from __future__ import annotations

import json
import os
import re
from datetime import date
from typing import Any

from pydantic import ValidationError

from rapport.errors import NothingPublished, UsageError
from rapport.privacy import append_audit
from rapport.settings import RECORDED, ProcessChange, Settings, recorded_changes
from rapport.warehouse import open_published
from rapport.warehouse.build import chart_pattern

_HEAD = """# Process changes that `rapport change add` recorded. Delete a block to take it back.
# A note is shown on the chart, and may not hold a patient's value.
"""
_CHARTS = """
select series.chart_id, series.clinic_key, clinic.clinic_name, min(series.start_month) as begun
from qi.spc_series as series
left join core.dim_clinic as clinic on series.clinic_key = clinic.clinic_key
group by all
"""


def record_change(
    settings: Settings, chart: str, day: date, note: str, clinic: str | None
) -> list[str]:
    """Record a change; return in words what it will do.

    Args:
        settings: the settings.
        chart: ids of charts, with ``*`` and ``?``.
        day: the day from which it holds.
        note: what was changed.
        clinic: a clinic's key or name, or ``all``; None for every series.

    Raises:
        UsageError: nothing is named so, or it is recorded already.
    """
    said = {"chart": chart, "from": day, "note": note.strip()}
    if clinic is not None:
        said["clinic"] = clinic
    try:
        change = ProcessChange.model_validate(said)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        lines = [
            f"  --{p['loc'][0]}: {p['msg'].removeprefix('Value error, ')}"
            for p in problems
        ]
        raise UsageError("\n".join(["not recorded:", *lines])) from None
    same = (change.chart, change.clinic, change.from_)
    if same in {(c.chart, c.clinic, c.from_) for c in settings.qi.process_change}:
        raise UsageError(
            "this change is recorded already", next_step="rapport change list shows all"
        )
    lines = _effect(settings, change)
    _append(settings, change)
    where = f"clinic {change.clinic}" if change.clinic else "every series"
    append_audit(
        settings.home,
        "process_change_added",
        f"chart {change.chart}, {where}, from {change.from_}",
        change.note,
    )
    return [*lines, "Logged in the vault's audit log; next: rapport night"]


def changes_of(settings: Settings) -> list[dict[str, Any]]:
    """List every change, in order of its day, with where it stands."""
    n_own = len(settings.qi.process_change) - len(recorded_changes(settings.home))
    found = [
        {
            "chart": change.chart,
            "clinic": change.clinic,
            "from": change.from_,
            "note": change.note,
            "origin": "settings" if place < n_own else RECORDED,
        }
        for place, change in enumerate(settings.qi.process_change)
    ]
    return sorted(found, key=lambda c: (c["from"], c["chart"], c["clinic"] or ""))


def print_changes(found: list[dict[str, Any]]) -> None:
    """Print the changes for a person, on stdout."""
    if not found:
        print("no process change is recorded")
    for change in found:
        where = f", clinic {change['clinic']}" if change["clinic"] else ""
        print(f"{change['from']}  {change['chart']}{where}: {change['note']}")


def _effect(settings: Settings, change: ProcessChange) -> list[str]:
    """Say how many of the snapshot's series the change touches; check that there are any."""
    try:
        with open_published(settings) as con:
            series = con.execute(_CHARTS).fetchall()
    except NothingPublished:
        return ["Recorded; nothing is published yet, so that no chart was looked up."]
    pattern = re.compile(chart_pattern(change.chart))
    named = [row for row in series if pattern.fullmatch(row[0])]
    if series and not named:
        raise UsageError(
            "no chart of the snapshot is named so",
            next_step='rapport sql "select distinct chart_id from qi.spc_series"',
        )
    if change.clinic is not None:
        named = [row for row in named if change.clinic in row[1:3]]
        if series and not named:
            raise UsageError(
                "no clinic of these charts has this key or name",
                next_step='rapport sql "select clinic_key, clinic_name from core.dim_clinic"',
            )
    later = sum(begun is not None and begun < change.from_ for *_, begun in named)
    return [
        f"Recorded: {later} of {len(named)} series begin a new segment with the first month "
        f"from {change.from_} on; limits need 12 months of it."
    ]


def _append(settings: Settings, change: ProcessChange) -> None:
    """Add the change's block to the file, in one write."""
    lines = ["", "[[process_change]]", f"chart = {_quoted(change.chart)}"]
    if change.clinic is not None:
        lines.append(f"clinic = {_quoted(change.clinic)}")
    lines += [f"from = {change.from_}", f"note = {_quoted(change.note)}", ""]
    path = settings.home / RECORDED
    head = "" if path.exists() else _HEAD
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(head + "\n".join(lines))
        file.flush()
        os.fsync(file.fileno())


def _quoted(text: str) -> str:
    """Write a TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=True)
