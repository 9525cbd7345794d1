"""The morning digest: what opened, closed and still waits since the night before.

Until the care-signal log is part of the snapshot, the digest reports one signal, open
ruptures of the primary method, in the shape that the whole log will have.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from rapport.dashboard import queries
from rapport.dashboard.pages import page_environment, style_of
from rapport.settings import Settings
from rapport.warehouse import published_path

_OPEN = ("pending", "unresolved")
_LISTS = ("opened", "closed", "opened_and_closed", "still_open", "withdrawn")


def write_digest(
    settings: Settings, notice: Sequence[str] = (), previous: Path | None = None
) -> Path:
    """Write ``digest/<as_of>.json`` and ``.html``, mode 0600; return the JSON's path.

    Args:
        settings: the settings.
        notice: what waits for a person, in sentences.
        previous: the snapshot published before this one, or None on the first night.
    """
    as_of, run_id, ruptures = _ruptures(published_path(settings))
    before_as_of, _, before = _ruptures(previous) if previous else (None, "", {})
    document = _document(as_of, run_id, ruptures, before_as_of, before)
    folder = settings.home / "digest"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    path = folder / f"{as_of}.json"
    _write(path, text)
    environment = page_environment()
    style = environment.get_template("style.css").render()
    html = environment.get_template("digest.html").render(
        digest=document, sentence=_sentence(document), notices=notice, **style_of(style)
    )
    _write(folder / f"{as_of}.html", html)
    return path


def _write(path: Path, text: str) -> None:
    building = path.with_name(path.name + ".building")
    handle = os.open(building, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(building, path)


def _ruptures(path: Path) -> tuple[date, str, dict[str, dict[str, Any]]]:
    """Return the as-of date, the run and the ruptures of one snapshot by key."""
    names = (
        "client_key",
        "episode_key",
        "opened_on",
        "status",
        "session",
        "ratio",
        "lead",
        "clinic_key",
        "clinic_name",
    )
    con = duckdb.connect(path, read_only=True)
    try:
        run_id, as_of, _ = con.execute(queries.LAST_RUN).fetchall()[0]
        rows = con.execute(queries.OPEN_RUPTURES).fetchall()
    finally:
        con.close()
    return as_of, run_id, {r[0]: dict(zip(names, r[1:], strict=True)) for r in rows}


def _document(
    as_of: date,
    run_id: str,
    now: dict[str, dict[str, Any]],
    before_as_of: date | None,
    before: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    clinics: dict[str, dict[str, Any]] = {}
    for key in sorted(now.keys() | before.keys()):
        rupture = now.get(key) or before[key]
        kind = _kind(now.get(key), before.get(key), before_as_of is None)
        if kind is None:
            continue
        clinic = clinics.setdefault(
            rupture["clinic_key"],
            {
                "clinic_key": rupture["clinic_key"],
                "clinic_name": rupture["clinic_name"],
                **{name: [] for name in _LISTS},
            },
        )
        closed_reason = {
            "still_open": None,
            "opened": None,
            "withdrawn": "withdrawn",
        }.get(kind, _closed_reason(rupture["status"]))
        clinic[kind].append(
            {
                "signal": "rupture",
                "signal_key": key,
                "client_key": rupture["client_key"],
                "episode_key": rupture["episode_key"],
                "opened_on": rupture["opened_on"].isoformat(),
                "days_open": (as_of - rupture["opened_on"]).days,
                "closed_reason": closed_reason,
                "evidence": {
                    "method": "default_rc3",
                    "onset_session": rupture["session"],
                    "drop_ratio": rupture["ratio"],
                    "lead_component": rupture["lead"],
                },
            }
        )
    ordered = sorted(
        clinics.values(),
        key=lambda c: (c["clinic_name"] == "unknown", c["clinic_name"]),
    )
    for clinic in ordered:
        for name in _LISTS:
            clinic[name].sort(key=lambda line: (line["opened_on"], line["signal_key"]))
        clinic["counts"] = {name: len(clinic[name]) for name in _LISTS}
    return {
        "as_of": as_of.isoformat(),
        "previous": before_as_of.isoformat() if before_as_of else None,
        "first_night": before_as_of is None,
        "snapshot": run_id,
        "counts": {name: sum(c["counts"][name] for c in ordered) for name in _LISTS},
        "clinics": ordered,
    }


def _kind(
    now: dict[str, Any] | None, before: dict[str, Any] | None, is_first_night: bool
) -> str | None:
    is_open = now is not None and now["status"] in _OPEN
    was_open = before is not None and before["status"] in _OPEN
    if now is None:
        return "withdrawn" if was_open else None
    if is_open:
        return "still_open" if was_open else "opened"
    if was_open:
        return "closed"
    return "opened_and_closed" if before is None and not is_first_night else None


def _closed_reason(status: str) -> str:
    return "episode_closed" if status == "unresolved_at_close" else "repaired"


def _sentence(document: dict[str, Any]) -> str:
    n = document["counts"]
    if not any(n.values()):
        return "No open signals."
    if n["opened"] + n["closed"] + n["opened_and_closed"] + n["withdrawn"] == 0:
        return (
            f"Nothing opened or closed since {document['previous']}; "
            f"{n['still_open']} still open."
        )
    return (
        f"{n['opened']} opened, {n['closed']} closed, {n['still_open']} still open, "
        f"{n['withdrawn']} withdrawn."
    )
