"""A synthetic twin of a package: the same tables and columns, and no row of a person.

It is made from the request alone, never from the snapshot, so a researcher may have it
before anyone approves. Its structure is planted: ruptures that are repaired go with a
better outcome than those that are not, by ``PLANTED`` points, and scores dip at an onset.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rapport.errors import UsageError
from rapport.extracts import package
from rapport.extracts.columns import (
    AGE_BANDS,
    DURATION_BANDS,
    SESSION_BANDS,
    TABLES,
    Column,
)
from rapport.extracts.request import Request
from rapport.files import private_folder
from rapport.warehouse import in_memory

# Points of change on PCL-5 by pattern, on top of a mean gain of ten (less is better).
PLANTED = {"no_rupture": -10.0, "repaired": -12.0, "unrepaired": -4.0}
_OUTCOME, _ALLIANCE = "PCL-5", "WAI-SR"
_NOISE = 6.0


def write_twin(request: Request, folder: Path, persons: int) -> None:
    """Write the twin of a microdata request; the bytes follow from request and size.

    Raises:
        UsageError: the folder holds something, or the request is for aggregates (exit 2).
    """
    if request.profile == "public":
        raise UsageError(
            "a twin is of microdata; public tables have no rows of persons"
        )
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder to write is not empty; name another")
    private_folder(folder)
    tables = _rows(request, persons)
    released = {
        table: tuple(c for c in request.released_columns(table))
        for table in request.tables
    }
    with in_memory() as con:
        con.execute("create schema data")
        for table in request.tables:
            frame = pd.DataFrame(tables[table])
            con.register("frame", frame)
            columns = {c.name: c for c in TABLES[table]}
            picked = ", ".join(
                f"cast({_or_null(n, frame)} as {_TYPES[columns[n].type]}) as {n}"
                for n in released[table]
            )
            con.execute(
                f"create table data.{table} as select {picked} from frame order by all"
            )
            con.unregister("frame")
        fields = package.fields_of(con, released, {}, {})
        package.write_tables(
            con, folder / "data", fields, request.formats, request.period.to
        )
    (folder / "codebook.csv").write_text(package.codebook_csv(fields), "utf-8")
    said = package.descriptor(
        f"{request.study}-twin", f"Synthetic twin: {request.title}", fields, folder
    )
    (folder / "datapackage.json").write_text(package.written_json(said), "utf-8")
    (folder / "SYNTHETIC.txt").write_text(
        "Synthetic twin. No row is of a person, no figure says anything about anyone.\n"
        "Planted: change on PCL-5 by pattern "
        + ", ".join(f"{name} {change:g}" for name, change in PLANTED.items())
        + "\n",
        "utf-8",
    )


_TYPES = {
    "string": "varchar",
    "integer": "integer",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
}


def _or_null(name: str, frame: pd.DataFrame) -> str:
    return name if name in frame.columns else "null"


def _name(digest: str, entity: str, number: int) -> str:
    said = hashlib.sha256(f"twin|{digest}|{entity}|{number}".encode()).digest()
    return base64.b32encode(said).decode("ascii")[:16]


def _rows(request: Request, persons: int) -> dict[str, list[dict[str, Any]]]:
    digest = request.digest()
    draw = np.random.Generator(np.random.PCG64(int(digest[:16], 16)))
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for number in range(persons):
        client = _name(digest, "client", number)
        episode = _name(digest, "episode", number)
        start = request.period.from_ + timedelta(
            days=int(draw.integers(0, (request.period.to - request.period.from_).days))
        )
        found["clients"].append(_client(draw, client, start))
        _course(draw, found, client, episode, start)
    return found


def _client(draw: np.random.Generator, client: str, start: date) -> dict[str, Any]:
    band = int(draw.integers(1, len(AGE_BANDS)))
    return {
        "client_id": client,
        "index_year": str(start.year),
        "age_band": AGE_BANDS[band],
        "age": str(band * 10 + int(draw.integers(0, 10))) if band < 9 else "90+",
        "sex": _pick(draw, ("female", "male", "other")),
        "race_group": _pick(draw, _codes("clients", "race_group")),
        "state": _pick(draw, ("NY", "IL", "AZ", "CA")),
        "zip3": _pick(draw, ("100", "606", "850", "000")),
        "n_sessions_band": _pick(draw, SESSION_BANDS[1:5]),
        "dx_group": _pick(draw, ("F40-F48", "F30-F39")),
        "trauma_focused": bool(draw.random() < 0.6),
        "clinic_group": "other units",
        "index_date": start,
    }


def _course(
    draw: np.random.Generator,
    found: Mapping[str, list[dict[str, Any]]],
    client: str,
    episode: str,
    start: date,
) -> None:
    """Add one episode: weekly sessions, scores that dip at a rupture, its outcome."""
    keys = {"client_id": client, "episode_id": episode}
    n_sessions = int(draw.integers(5, 21))
    pattern = _pick(draw, tuple(PLANTED))
    onset = int(draw.integers(3, n_sessions)) if pattern != "no_rupture" else 0
    end = start + timedelta(weeks=n_sessions - 1)
    found["episodes"].append(
        {**keys, "episode_no": 1, "open_week": 0, "close_week": n_sessions - 1,
         "closure_reason": _pick(draw, ("completed", "dropped_out")),
         "dropout": bool(draw.random() < 0.25), "pattern": pattern,
         "treatment_approach": _pick(draw, ("emdr", "pe", "cpt", "cbt")),
         "opened_on": start, "closed_on": end}
    )  # fmt: skip
    level = float(draw.normal(3.8, 0.4))
    for number in range(1, n_sessions + 1):
        day = start + timedelta(weeks=number - 1)
        place = {**keys, "session_number": number, "week_index": number - 1,
                 "session_date": day}  # fmt: skip
        found["sessions"].append(
            {**place, "status": "attended", "modality": "individual",
             "delivery_mode": _pick(draw, ("in_person", "video")),
             "duration_band": _pick(draw, DURATION_BANDS[1:4])}
        )  # fmt: skip
        dips = number == onset or (pattern == "unrepaired" and number > onset > 0)
        score = float(np.clip(level - (1.0 if dips else 0.0) + draw.normal(0, 0.15), 1, 5))  # fmt: skip
        found["alliance"].append({**place, **_scores(draw, score)})
    if onset:
        found["ruptures"].append(
            {**keys, "method": "default_rc3", "onset_session_number": onset,
             "onset_week": onset - 1, "strength": _pick(draw, ("possible", "likely")),
             "lead_component": _pick(draw, ("goal", "task", "bond", "none")),
             "shape": "v" if pattern == "repaired" else "l",
             "status": "resolved" if pattern == "repaired" else "unresolved",
             "sessions_to_repair": 1 if pattern == "repaired" else None,
             "drop_ratio": round(float(draw.uniform(1, 2)), 1),
             "onset_date": start + timedelta(weeks=onset - 1)}
        )  # fmt: skip
    first = float(draw.integers(30, 70))
    change = round(PLANTED[pattern] + float(draw.normal(0, _NOISE)))
    last = float(np.clip(first + change, 0, 80))
    found["outcomes"].append(
        {**keys, "instrument": _OUTCOME, "first_score": first, "last_score": last,
         "change": last - first,
         "reliable_change": "improved" if last - first <= -15 else "no_change",
         "clinical_class": "recovered" if last < 28 else "unchanged"}
    )  # fmt: skip


def _scores(draw: np.random.Generator, score: float) -> dict[str, Any]:
    said: dict[str, Any] = {"instrument": _ALLIANCE}
    for part in ("total", "goal", "task", "bond"):
        client = round(float(np.clip(score + draw.normal(0, 0.1), 1, 5)), 2)
        therapist = round(float(np.clip(score + draw.normal(0.1, 0.2), 1, 5)), 2)
        said |= {
            f"client_{part}": client,
            f"therapist_{part}": therapist,
            f"gap_{part}": round(therapist - client, 2),
        }
    total = said["client_total"]
    said["band"] = "weak" if total < 3 else "strong" if total >= 4 else "moderate"
    return said


def _pick(draw: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(draw.integers(0, len(values)))]


def _codes(table: str, name: str) -> tuple[str, ...]:
    column: Column = next(c for c in TABLES[table] if c.name == name)
    return column.codes
