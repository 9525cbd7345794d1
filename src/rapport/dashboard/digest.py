"""The morning digest: what opened, closed and still waits since the night before.

It holds ``outcomes.fct_care_signal`` against what the last published night before it
showed, which the snapshot's own signal log still knows: a refused night is bridged, and a
night that is run again tells the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from rapport.dashboard import queries
from rapport.dashboard.pages import page_environment, style_of
from rapport.files import private_folder, write_whole
from rapport.settings import Settings
from rapport.warehouse import open_published, published_path

_LISTS = ("opened", "closed", "opened_and_closed", "still_open", "withdrawn")


@dataclass(frozen=True)
class Signal:
    """One row of the care-signal log as one snapshot shows it."""

    signal_key: str
    signal: str
    position: int
    instrument: str | None
    episode_key: str
    client_key: str
    clinic_key: str
    clinic_name: str
    opened_on: date
    closed_on: date | None
    closed_reason: str | None
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Tonight's signals, and which keys the night before showed open or closed."""

    as_of: date
    previous: date | None
    snapshot: str
    signals: tuple[Signal, ...]
    was_open: dict[str, bool]
    n_erased: int


def write_digest(
    settings: Settings, notice: Sequence[str] = (), refused: date | None = None
) -> Path:
    """Write ``digest/<as_of>.json`` and ``.html``, mode 0600; return the JSON's path.

    Args:
        settings: the settings.
        notice: what waits for a person, in sentences.
        refused: the as-of date of the night that the gate has just refused, or None.
    """
    document = _document(_compare(settings, refused), refused)
    folder = settings.home / "digest"
    private_folder(folder)
    path = folder / f"{document['as_of']}.json"
    write_whole(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
    environment = page_environment()
    style = environment.get_template("style.css").render()
    html = environment.get_template("digest.html").render(
        digest=document,
        lines=_lines(document),
        sentence=_sentence(document),
        notices=notice,
        **style_of(style),
    )
    write_whole(path.with_suffix(".html"), html)
    return path


def _compare(settings: Settings, refused: date | None) -> Comparison:
    if not published_path(settings).exists() and refused is not None:
        return Comparison(refused, None, "", (), {}, 0)
    with open_published(settings) as con:
        run_id, snapshot_as_of, _ = con.execute(queries.LAST_RUN).fetchall()[0]
        as_of = max(refused or snapshot_as_of, snapshot_as_of)
        signals = _signals(con)
        night = {"as_of": as_of, "run": run_id}
        before = con.execute(queries.NIGHT_BEFORE, night).fetchone()
        was_open, n_erased = {}, 0
        if before:
            was_open = dict(con.execute(queries.SIGNALS_BEFORE, night).fetchall())
            since = {"since": before[1]}
            ((n_erased,),) = con.execute(queries.ERASED_SINCE, since).fetchall()
    return Comparison(
        as_of,
        before[0] if before else None,
        f"{snapshot_as_of}.{_mark(signals)}",
        signals,
        was_open,
        int(n_erased),
    )


def _signals(con: duckdb.DuckDBPyConnection) -> tuple[Signal, ...]:
    rows = con.execute(queries.SIGNALS).fetchall()
    return tuple(
        replace(Signal(*row), evidence=json.loads(str(row[-1]))) for row in rows
    )


def _mark(signals: Sequence[Signal]) -> str:
    """Name what was read by its content: the same night again has the same name."""
    said = repr([(s.signal_key, s.closed_on, s.closed_reason) for s in signals])
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _document(compared: Comparison, refused: date | None) -> dict[str, Any]:
    became = _became(compared.signals)
    clinics: dict[str, dict[str, Any]] = {}
    for signal in compared.signals:
        kind = _kind(signal, compared.was_open)
        if kind is None:
            continue
        clinic = clinics.setdefault(
            signal.clinic_key,
            {
                "clinic_key": signal.clinic_key,
                "clinic_name": signal.clinic_name,
                **{name: [] for name in _LISTS},
            },
        )
        clinic[kind].append(_line(signal, compared, kind, became))
    ordered = list(clinics.values())
    for clinic in ordered:
        clinic["counts"] = {name: len(clinic[name]) for name in _LISTS}
    counts = {name: sum(c["counts"][name] for c in ordered) for name in _LISTS}
    return {
        "as_of": compared.as_of.isoformat(),
        "previous": compared.previous.isoformat() if compared.previous else None,
        "first_night": compared.previous is None,
        "refused": refused is not None,
        "snapshot": compared.snapshot,
        "counts": {**counts, "erased": compared.n_erased},
        "clinics": ordered,
    }


def _kind(signal: Signal, was_open: dict[str, bool]) -> str | None:
    """Return the list that a signal belongs to; None when it was closed before, too."""
    before = was_open.get(signal.signal_key)
    if signal.closed_on is None:
        return "still_open" if before else "opened"
    if before is None:
        return "opened_and_closed"
    if not before:
        return None
    return "withdrawn" if signal.closed_reason == "withdrawn" else "closed"


def _line(
    signal: Signal, compared: Comparison, kind: str, became: dict[str, str]
) -> dict[str, Any]:
    until = signal.closed_on or compared.as_of
    return {
        "signal": signal.signal,
        "signal_key": signal.signal_key,
        "instrument": signal.instrument,
        "client_key": signal.client_key,
        "episode_key": signal.episode_key,
        "opened_on": signal.opened_on.isoformat(),
        "closed_on": signal.closed_on.isoformat() if signal.closed_on else None,
        "days_open": (until - signal.opened_on).days,
        "closed_reason": signal.closed_reason,
        "reopened": kind == "opened" and signal.signal_key in compared.was_open,
        "became": became.get(signal.signal_key),
        "evidence": signal.evidence,
    }


def _lines(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every line by its key, so that a page can show two of them together."""
    return {
        line["signal_key"]: line
        for clinic in document["clinics"]
        for name in _LISTS
        for line in clinic[name]
    }


def _became(signals: Sequence[Signal]) -> dict[str, str]:
    """Return, for each escalated rupture, the ``rupture_unrepaired`` that it became."""

    def onset(signal: Signal) -> tuple[object, ...]:
        session = signal.evidence.get("onset_session")
        return signal.episode_key, signal.instrument, session

    unrepaired = {
        (*onset(s), s.opened_on): s.signal_key
        for s in signals
        if s.signal == "rupture_unrepaired"
    }
    return {
        s.signal_key: unrepaired[(*onset(s), s.closed_on)]
        for s in signals
        if s.closed_reason == "escalated" and (*onset(s), s.closed_on) in unrepaired
    }


def _sentence(document: dict[str, Any]) -> str:
    n = document["counts"]
    moved = n["opened"] + n["closed"] + n["opened_and_closed"] + n["withdrawn"]
    if not moved and not n["still_open"]:
        said = "No open signals."
    elif not moved:
        said = (
            f"Nothing opened or closed since {document['previous']}; "
            f"{n['still_open']} still open."
        )
    else:
        said = (
            f"{n['opened']} opened, {n['closed']} closed, {n['still_open']} still open, "
            f"{n['withdrawn']} withdrawn."
        )
    if n["opened_and_closed"]:
        said += f" {n['opened_and_closed']} opened and closed in the meantime."
    if n["erased"]:
        said += f" {n['erased']} erased on request."
    return said
