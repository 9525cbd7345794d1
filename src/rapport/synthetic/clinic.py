"""Generate a clinic: an opening snapshot, then nightly deltas, and the planted truth.

The model, drawn array-wise from one seeded PCG64 stream:

* Each client-therapist pair has a latent alliance on the 1-5 mean: a pair mean, a slow
  growth over sessions (slower for the bond in trauma-focused work), and AR(1) deviations
  (phi 0.5), after Falkenström, Hatcher & Holmqvist 2015 (within-patient alliance
  variation) and Stiles et al. 2004 (shapes of alliance development).
* Goal, task and bond load on it with own deviations (Hatcher & Gillaspy 2006); items are
  the component's value with error such that the total's standard error is near .22
  (SD .70, reliability .90), rounded to whole answers.
* A planted rupture lowers the total by a stated depth from its onset for a stated number
  of sessions, led by one component; it comes back (repaired) or stays (unrepaired).
* In every fifth of the other episodes nothing moves: no growth, no deviation, no slow
  bond. Whatever a method finds there comes from the error of the items alone.
* Outcomes fall by an episode's own slope with noise; a planted stall stops the slope.

Bytes are a function of clients, seed, until and how often forms are filled in only.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MONTHS_BACK = 26
N_DELTAS = 28
# Clients drawn at once: what they weigh bounds the memory, some 1.4 GB.
BLOCK = 6_000
_ZONES = ("America/New_York", "America/Chicago", "America/Phoenix", "Europe/London")
_SUBSCALE_ITEMS = {
    "goal": (4, 6, 8, 11),
    "task": (1, 2, 10, 12),
    "bond": (3, 5, 7, 9),
}
_PARTS = ("goal", "task", "bond")
_TRAUMA = np.array(["emdr", "pe", "cpt", "tf_cbt", "net"])
_OTHER = np.array(["cbt", "act", "psychodynamic", "ipt"])
_DOMAINS = np.array(
    ["symptoms", "safety", "sleep", "emotion", "relationships", "self", "work",
     "daily_life", "health", "meaning"]
)  # fmt: skip

PROCESS_CHANGE = """\
# A recorded process change of the sample clinic: forms moved to tablets.
[[qi.process_change]]
chart = "completion.*"
from = "{month}-01"
note = "Forms are filled in on a tablet before the session"
"""


@dataclass(frozen=True)
class GeneratedClinic:
    """What was made: counts, and where."""

    out: Path
    n_deliveries: int
    n_clients: int
    n_sessions: int
    n_ruptures: int


def generate(
    clients: int, seed: int, out: Path, until: date, forms_every: int = 1
) -> GeneratedClinic:
    """Write ``out/inbox/canonical/<delivery>/…`` and ``out/truth/*.csv``.

    Args:
        clients: how many clients.
        seed: same clients, seed, until and forms_every, same bytes.
        out: folder to write into.
        until: the last day that has happened; later sessions are bookings.
        forms_every: forms are asked for in the first week of so many.
    """
    sizes = enumerate(_blocks(clients))
    stream = [seed, clients, until.toordinal()]
    # A call each, so that a block has gone before the next one is drawn.
    counts = [
        _write_block(n, stream, block, until, out, forms_every) for block, n in sizes
    ]
    n_sessions, n_ruptures = map(sum, zip(*counts, strict=True))
    return GeneratedClinic(out, N_DELTAS + 1, clients, n_sessions, n_ruptures)


def _write_block(
    clients: int,
    stream: list[int],
    block: int,
    until: date,
    out: Path,
    forms_every: int,
) -> tuple[int, int]:
    """Write one block's share; return how many sessions and ruptures it has."""
    drawn = _draw(clients, stream, block, until, forms_every)
    _deliver(drawn.rng, drawn.tables, out / "inbox" / "canonical", until)
    _write_truth(out / "truth", drawn.truth)
    return drawn.n_sessions, len(drawn.truth["ruptures"])


def _blocks(clients: int) -> list[int]:
    """Return how many clients each block has: memory is bounded by one block."""
    whole, rest = divmod(clients, BLOCK)
    return [BLOCK] * whole + ([rest] if rest or not whole else [])


@dataclass(frozen=True)
class _Drawn:
    """One block: the tables as delivered, the planted truth, and the stream they are of."""

    rng: np.random.Generator
    tables: dict[str, pd.DataFrame]
    truth: dict[str, pd.DataFrame]
    n_sessions: int


def _draw(
    clients: int, seed: list[int], block: int, until: date, forms_every: int
) -> _Drawn:
    # The first block is drawn as a clinic of one block is, and a later one from a stream
    # of its own, with clinics of its own, as in a service of many.
    seeds = [*seed, *([] if block == 0 else [0, block])]
    rng = np.random.Generator(np.random.PCG64(seeds))
    first = _months_before(until, MONTHS_BACK)
    people = _people(rng, clients, first)
    staff = _staff(clients)
    episodes = _episodes(rng, people, staff, first, until)
    sessions = _sessions(rng, episodes, until)
    ruptures, stable, latent = _alliance(rng, episodes, sessions)
    measures, items = _forms(rng, sessions, latent, forms_every)
    stalls, outcome_measures, outcome_items = _outcomes(
        rng, episodes, sessions, forms_every
    )
    # A stream of their own, so that adding forms moves nothing else.
    own = np.random.Generator(np.random.PCG64([*seeds, 1]))
    side_measures, side_items = _side_forms(
        own, episodes, sessions, latent, forms_every
    )
    measures = pd.concat([measures, outcome_measures, side_measures], ignore_index=True)
    items = pd.concat([items, outcome_items, side_items], ignore_index=True)
    goals = _goals(rng, episodes, until)
    tables: dict[str, pd.DataFrame] = {
        "clinics": staff.clinics,
        "therapists": staff.therapists,
        "clients": people,
        "episodes": episodes.drop(
            columns=["number", "zone", "n_planned", "last_on", "has_rupture"]
        ),
        "sessions": sessions,
        "measures": measures,
        "measure_items": items,
        "goals": goals,
        "diagnoses": _diagnoses(rng, episodes),
        "client_merges": _merges(people, until),
    }
    _add_mess(rng, tables, until)
    truth = _truth(ruptures, stable, stalls, episodes, goals)
    if block:
        for frames in (tables, truth):
            for frame in frames.values():
                _rename(frame, f"b{block:03d}-")
    return _Drawn(rng, tables, truth, len(sessions))


def _rename(frame: pd.DataFrame, prefix: str) -> None:
    """Set a block's ids apart; one that is empty names nothing."""
    for column in frame.columns:
        if column.endswith("_id"):
            ids = frame[column].fillna("").astype(str)
            frame[column] = ids.where(ids == "", prefix + ids)


def _months_before(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 - months
    return date(month // 12, month % 12 + 1, 1)


def _ids(prefix: str, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.char.add(prefix, np.char.zfill(numbers.astype(str), 6))


# --- people and places --------------------------------------------------------------


@dataclass(frozen=True)
class _Staff:
    clinics: pd.DataFrame
    therapists: pd.DataFrame
    zones: np.ndarray[Any, Any]
    clinic_of: np.ndarray[Any, Any]


def _staff(clients: int) -> _Staff:
    """Three full clinics and a small one; a therapist for about every twelve clients."""
    clinics = pd.DataFrame(
        {
            "clinic_id": ["C-EAST", "C-LAKE", "C-DESERT", "C-SMALL"],
            "name": [
                "Eastside Clinic",
                "Lakeside Clinic",
                "Desert Clinic",
                "Small Practice",
            ],
            "state": ["NY", "IL", "AZ", "NY"],
            "timezone": [*_ZONES[:3], "America/New_York"],
        }
    )
    n = max(4, clients // 12)
    numbers = np.arange(n)
    clinic_of = numbers % 3
    clinic_of[-1] = 3
    disciplines = np.array(
        ["psychologist", "social_worker", "counselor", "psychiatrist"]
    )
    therapists = pd.DataFrame(
        {
            "therapist_id": _ids("T", numbers),
            "clinic_id": clinics["clinic_id"].to_numpy()[clinic_of],
            "discipline": disciplines[numbers % 4],
            "licensed_on": [f"{1995 + k % 25}-06-15" for k in range(n)],
        }
    )
    return _Staff(clinics, therapists, clinics["timezone"].to_numpy(), clinic_of)


def _people(rng: np.random.Generator, n: int, first: date) -> pd.DataFrame:
    numbers = np.arange(n)
    births = np.datetime64("1945-01-01") + rng.integers(0, 22_000, n)
    return pd.DataFrame(
        {
            "client_id": _ids("P", numbers),
            "birth_date": births.astype(str),
            "sex": rng.choice(["female", "male", "other"], n, p=[0.62, 0.36, 0.02]),
            "race": rng.choice(
                ["white", "black", "asian", "native", "white;black", ""],
                n,
                p=[0.58, 0.17, 0.1, 0.03, 0.04, 0.08],
            ),
            "ethnicity": rng.choice(
                ["hispanic", "not_hispanic", ""], n, p=[0.2, 0.7, 0.1]
            ),
            "preferred_language": rng.choice(
                ["en", "es", "fr"], n, p=[0.86, 0.11, 0.03]
            ),
            "postal_code": rng.choice(["10025", "60614", "85004", "10301", "03601"], n),
            "state": rng.choice(["NY", "IL", "AZ"], n),
            "registered_on": np.datetime_as_string(
                np.datetime64(first) - rng.integers(0, 30, n), unit="D"
            ),
            "updated_at": str(first) + "T00:00:00Z",
        }
    )


def _episodes(
    rng: np.random.Generator,
    people: pd.DataFrame,
    staff: _Staff,
    first: date,
    until: date,
) -> pd.DataFrame:
    """One episode a client, some with a second; opened over the whole period."""
    n_people = len(people)
    second = np.flatnonzero(rng.random(n_people) < 0.12)
    owner = np.concatenate([np.arange(n_people), second])
    n = len(owner)
    span = (until - first).days
    opened = rng.integers(0, max(1, span - 20), n)
    opened[n_people:] = np.minimum(
        span - 10, opened[second] + rng.integers(330, 420, len(second))
    )
    n_planned = np.clip(rng.geometric(0.07, n) + 3, 4, 44)
    n_therapists = len(staff.clinic_of)
    # The last therapist is the small practice: few clients only.
    therapist = rng.integers(0, n_therapists - 1, n)
    therapist[n_people:] = therapist[second]
    small = np.flatnonzero(np.arange(n) % max(1, n_people // 8) == 3)[:8]
    therapist[small] = n_therapists - 1
    clinic = staff.clinic_of[therapist]
    trauma = rng.random(n) < 0.6
    approach = np.where(
        trauma, _TRAUMA[rng.integers(0, 5, n)], _OTHER[rng.integers(0, 4, n)]
    )
    opened_on = np.datetime64(first) + opened
    last_on = opened_on + 7 * n_planned
    is_closed = last_on + 10 <= np.datetime64(until)
    reasons = rng.choice(
        ["completed", "dropped_out", "referred", "transferred", "declined", "other"],
        n,
        p=[0.55, 0.27, 0.06, 0.05, 0.03, 0.04],
    )
    numbers = np.arange(n)
    closed = np.where(is_closed, np.datetime_as_string(last_on + 5, unit="D"), "")
    reported = numbers % 9 != 8  # every ninth is not reported: derived from sessions
    frame = pd.DataFrame(
        {
            "episode_id": np.where(reported, _ids("E", numbers), ""),
            "client_id": people["client_id"].to_numpy()[owner],
            "therapist_id": staff.therapists["therapist_id"].to_numpy()[therapist],
            "clinic_id": staff.clinics["clinic_id"].to_numpy()[clinic],
            "opened_on": np.datetime_as_string(opened_on, unit="D"),
            "closed_on": closed,
            "closure_reason": np.where(is_closed, reasons, ""),
            "trauma_focused": np.where(trauma, "true", "false"),
            "treatment_approach": approach,
            "updated_at": np.where(
                is_closed,
                np.datetime_as_string(last_on + 5, unit="D"),
                np.datetime_as_string(opened_on, unit="D"),
            ),
            "number": numbers,
            "zone": staff.zones[clinic],
            "n_planned": n_planned,
            "last_on": np.datetime_as_string(last_on, unit="D"),
            "has_rupture": rng.random(n) < 0.45,
        }
    )
    frame["updated_at"] += "T12:00:00Z"
    return frame


def _sessions(
    rng: np.random.Generator, episodes: pd.DataFrame, until: date
) -> pd.DataFrame:
    """Weekly appointments, one row each; after ``until`` they are booked."""
    n_each = episodes["n_planned"].to_numpy()
    owner = np.repeat(np.arange(len(episodes)), n_each)
    week = np.arange(len(owner)) - np.repeat(np.cumsum(n_each) - n_each, n_each)
    n = len(owner)
    opened = episodes["opened_on"].to_numpy().astype("datetime64[D]")[owner]
    day = opened + 7 * week + (rng.random(n) < 0.1) * rng.integers(0, 3, n)
    hour = rng.integers(8, 19, n)
    keep = day <= np.datetime64(until) + 14
    owner, week, day, hour = owner[keep], week[keep], day[keep], hour[keep]
    n = len(owner)
    is_past = day <= np.datetime64(until)
    status = rng.choice(
        ["attended", "no_show", "client_cancelled", "late_cancelled", "clinic_cancelled",
         "voided", "rescheduled"],
        n,
        p=[0.855, 0.045, 0.04, 0.025, 0.02, 0.01, 0.005],
    )  # fmt: skip
    status = np.where(week == 0, "attended", status)
    status = np.where(is_past, status, "scheduled")
    start = day.astype("datetime64[m]") + 60 * hour
    # Two nights a year the clocks change: a crisis contact in the repeated hour.
    autumn = (np.arange(n) % 211 == 7) & is_past
    start = np.where(autumn, np.datetime64("2025-11-02T01:30"), start)
    autumn_day = np.datetime64("2025-11-02")
    autumn &= (day >= autumn_day - 60) & (day <= autumn_day + 60)
    start = np.where(autumn, start, day.astype("datetime64[m]") + 60 * hour)
    minutes = rng.choice([45, 50, 53, 60, 90], n, p=[0.2, 0.4, 0.2, 0.15, 0.05])
    row = episodes.iloc[owner]
    named = rng.random(n) < 0.85
    covering = (np.arange(n) % 97 == 50) & (week > 4)
    therapist = row["therapist_id"].to_numpy()
    therapist = np.where(covering, np.roll(therapist, 400), therapist)
    return pd.DataFrame(
        {
            "session_id": _ids("S", np.arange(n)),
            "client_id": row["client_id"].to_numpy(),
            "therapist_id": therapist,
            "clinic_id": row["clinic_id"].to_numpy(),
            "episode_id": np.where(named, row["episode_id"].to_numpy(), ""),
            "started_at": np.datetime_as_string(start, unit="m"),
            "ended_at": np.datetime_as_string(start + minutes, unit="m"),
            "timezone": np.where(np.arange(n) % 3 == 0, row["zone"].to_numpy(), ""),
            "status": status,
            "service_code": np.where(minutes >= 60, "90837", "90834"),
            "modality": rng.choice(
                ["individual", "group", ""], n, p=[0.95, 0.03, 0.02]
            ),
            "treatment_approach": row["treatment_approach"].to_numpy(),
            "delivery_mode": rng.choice(
                ["in_person", "video", "phone"], n, p=[0.6, 0.35, 0.05]
            ),
            "diagnosis_codes": np.where(
                row["trauma_focused"].to_numpy() == "true", "F43.10;F33.1", "F41.1"
            ),
            "updated_at": np.datetime_as_string(start + minutes + 30, unit="s") + "Z",
            "deleted": "",
            "owner": owner,
            "week": week,
            "day": np.datetime_as_string(day, unit="D"),
        }
    )


# --- the alliance and its planted ruptures ------------------------------------------


def _alliance(
    rng: np.random.Generator, episodes: pd.DataFrame, sessions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray[Any, Any]]:
    """Draw each session's goal, task and bond; return planted ruptures and values.

    Returns:
        Ruptures, one row each; stable episodes, one row each; and an array
        (sessions, 3) on the 1-5 mean.
    """
    owner = sessions["owner"].to_numpy()
    week = sessions["week"].to_numpy()
    n, n_episodes = len(sessions), len(episodes)
    pair_mean = rng.normal(3.9, 0.35, n_episodes)[owner]
    growth = 0.012 * week
    deviation = rng.normal(0, 0.10, n)
    carried = np.zeros(n)
    previous = np.where(week > 0, np.arange(n) - 1, np.arange(n))
    for _ in range(4):  # a truncated AR(1) with phi 0.5
        carried = deviation + 0.5 * np.where(week > 0, carried[previous], 0)
    total = pair_mean + growth + carried
    trauma = (episodes["trauma_focused"].to_numpy() == "true")[owner]
    parts = total[:, None] + rng.normal(0, 0.08, (n, 3))
    parts[:, 2] -= np.where(trauma, 0.5 * np.exp(-week / 6.0), 0)

    attended = (sessions["status"] == "attended").to_numpy()
    n_weeks = np.bincount(owner, minlength=n_episodes)
    candidates = episodes["has_rupture"].to_numpy() & (n_weeks >= 9)
    is_stable = ~candidates & (np.arange(n_episodes) % 5 == 2)
    parts = np.where(is_stable[owner][:, None], pair_mean[:, None], parts)
    onset = rng.integers(4, np.maximum(5, n_weeks - 3))
    length = rng.integers(1, 7, n_episodes)
    is_repaired = rng.random(n_episodes) < 0.65
    depth = rng.uniform(0.7, 1.4, n_episodes)
    lead = rng.integers(0, 3, n_episodes)
    weight = np.full((n_episodes, 3), 0.75)
    weight[np.arange(n_episodes), lead] = 1.5
    inside = (
        candidates[owner]
        & (week >= onset[owner])
        & (~is_repaired[owner] | (week < (onset + length)[owner]))
    )
    parts -= np.where(inside[:, None], depth[owner][:, None] * weight[owner], 0)
    parts = np.clip(parts, 1.0, 5.0)

    first_row = np.full(n_episodes, -1)
    onset_rows = np.flatnonzero(inside & attended)[::-1]
    first_row[owner[onset_rows]] = onset_rows
    back = ~inside & attended & (week > onset[owner]) & candidates[owner]
    repair_row = np.full(n_episodes, -1)
    repair_rows = np.flatnonzero(back)[::-1]
    repair_row[owner[repair_rows]] = repair_rows
    planted = np.flatnonzero(candidates & (first_row >= 0))
    ids = sessions["session_id"].to_numpy()
    repaired = is_repaired[planted] & (repair_row[planted] >= 0)
    ruptures = pd.DataFrame(
        {
            "client_id": episodes["client_id"].to_numpy()[planted],
            "episode_number": planted,
            "therapist_id": sessions["therapist_id"].to_numpy()[first_row[planted]],
            "onset_session_id": ids[first_row[planted]],
            "component": np.array(_PARTS)[lead[planted]],
            "depth": np.round(depth[planted], 4),
            "is_repaired": np.where(repaired, "true", "false"),
            "repair_session_id": np.where(repaired, ids[repair_row[planted]], ""),
        }
    )
    first_of = np.zeros(n_episodes, dtype=int)
    first_of[owner[::-1]] = np.arange(n)[::-1]
    planted = np.flatnonzero(is_stable)
    stable = pd.DataFrame(
        {
            "client_id": episodes["client_id"].to_numpy()[planted],
            "episode_number": planted,
            "first_session_id": ids[first_of[planted]],
        }
    )
    return ruptures, stable, parts


def _asks_for_forms(sessions: pd.DataFrame, every: int) -> np.ndarray[Any, Any]:
    """Return which sessions were held in a week in which forms are filled in."""
    is_held = (sessions["status"] == "attended").to_numpy()
    asks: np.ndarray[Any, Any] = is_held & (sessions["week"].to_numpy() % every == 0)
    return asks


def _forms(
    rng: np.random.Generator,
    sessions: pd.DataFrame,
    parts: np.ndarray[Any, Any],
    every: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Alliance forms of client and therapist, SRS, and the therapist's own forms."""
    asked = np.flatnonzero(_asks_for_forms(sessions, every))
    measures, items = [], []

    def add(
        kind: str,
        instrument: str,
        rater: str,
        rows: np.ndarray[Any, Any],
        names: list[str],
        values: np.ndarray[Any, Any],
        minutes_after: int,
    ) -> None:
        ids = np.char.add(kind, np.char.zfill(rows.astype(str), 7))
        start = sessions["ended_at"].to_numpy()[rows].astype("datetime64[m]")
        measures.append(
            pd.DataFrame(
                {
                    "administration_id": ids,
                    "client_id": sessions["client_id"].to_numpy()[rows],
                    "therapist_id": sessions["therapist_id"].to_numpy()[rows],
                    "session_id": np.where(
                        rows % 11 == 0, "", sessions["session_id"].to_numpy()[rows]
                    ),
                    "instrument": instrument,
                    "version": "",
                    "rater": rater,
                    "administered_at": np.datetime_as_string(
                        start + minutes_after, unit="m"
                    ),
                    "total_reported": "",
                    "updated_at": np.datetime_as_string(start + 60, unit="s") + "Z",
                    "deleted": "",
                    "day": sessions["day"].to_numpy()[rows],
                }
            )
        )
        items.append(_long(ids, names, values, sessions["day"].to_numpy()[rows]))

    names = [str(k) for k in range(1, 13)]
    part_of = np.array([next(p for p, part in enumerate(_PARTS)
                             if k in _SUBSCALE_ITEMS[part]) for k in range(1, 13)])  # fmt: skip
    filled = asked[rng.random(len(asked)) < 0.88]
    client = parts[filled][:, part_of] + rng.normal(0, 0.62, (len(filled), 12))
    add("AC", "WAI-SR", "client", filled, names, _answers(rng, client, 1, 5), 5)
    filled = asked[rng.random(len(asked)) < 0.72]
    own = parts[filled][:, part_of] + rng.normal(0.1, 0.3, (len(filled), 1))
    therapist = own + rng.normal(0, 0.5, (len(filled), 12))
    add("AT", "wai_sr", "therapist", filled, names, _answers(rng, therapist, 1, 5), 20)
    filled = asked[(asked % 5 == 0) & (rng.random(len(asked)) < 0.9)]
    mm = 100 * (parts[filled][:, [2, 0, 1, 0]] - 1) / 4 + rng.normal(
        6, 5, (len(filled), 4)
    )
    mm_text = np.clip(np.round(mm, 1), 0, 100).astype(str)
    add("AS", "SRS", "client", filled, names[:4], mm_text, 8)
    filled = asked[rng.random(len(asked)) < 0.5]
    low = 4.2 - parts[filled].mean(axis=1)
    strain = low[:, None] + rng.normal(0.3, 0.8, (len(filled), 5))
    add("RT", "RAP-T", "therapist", filled,
        ["T_FRUSTRATION", "T_EFFORT", "T_HELPLESS", "T_SELFDOUBT", "T_GOALS"],
        np.clip(np.round(strain), 0, 4).astype(int).astype(str), 22)  # fmt: skip
    filled = asked[rng.random(len(asked)) < 0.15]
    add("RS", "RAP-S", "therapist", filled,
        ["S_DESTIGMATIZE", "S_COMPASSION", "S_COCREATE"],
        (rng.random((len(filled), 3)) < 0.5).astype(int).astype(str), 24)  # fmt: skip
    filled = asked[rng.random(len(asked)) < 0.25]
    tension = rng.random(len(filled)) < np.clip(low_of(parts[filled]), 0.03, 0.9)
    psq = np.column_stack(
        [
            tension.astype(int).astype(str),
            np.where(tension, rng.integers(1, 6, len(filled)).astype(str), ""),
            np.where(tension, rng.integers(1, 6, len(filled)).astype(str), ""),
        ]
    )
    add(
        "PC",
        "PSQ",
        "client",
        filled,
        ["P_TENSION", "P_INTENSITY", "P_RESOLVED"],
        psq,
        9,
    )
    return pd.concat(measures, ignore_index=True), pd.concat(items, ignore_index=True)


def low_of(parts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return how far each session's mean lies below 3.4, at least 0."""
    low: np.ndarray[Any, Any] = np.maximum(0, 3.4 - parts.mean(axis=1))
    return low


def _answers(
    rng: np.random.Generator, values: np.ndarray[Any, Any], low: int, high: int
) -> np.ndarray[Any, Any]:
    """Round to whole answers; a few are missing, a very few are no answer at all."""
    text = np.clip(np.round(values), low, high).astype(int).astype(str)
    text = text.astype("U3")
    text[rng.random(text.shape) < 0.012] = ""
    text[rng.random(text.shape) < 0.0006] = "99"
    return text


def _long(
    ids: np.ndarray[Any, Any],
    names: list[str],
    values: np.ndarray[Any, Any],
    days: np.ndarray[Any, Any],
) -> pd.DataFrame:
    n_items = len(names)
    return pd.DataFrame(
        {
            "administration_id": np.repeat(ids, n_items),
            "item": np.tile(np.array(names), len(ids)),
            "value": values.reshape(-1),
            "day": np.repeat(days, n_items),
        }
    )


def _outcomes(
    rng: np.random.Generator, episodes: pd.DataFrame, sessions: pd.DataFrame, every: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """PCL-5 every other week in trauma-focused episodes, PHQ-9 in the others."""
    owner = sessions["owner"].to_numpy()
    week = sessions["week"].to_numpy()
    turn = week // every
    is_asked = _asks_for_forms(sessions, every)
    trauma = episodes["trauma_focused"].to_numpy() == "true"
    n_episodes = len(episodes)
    intake = np.where(
        trauma, rng.normal(50, 9, n_episodes), rng.normal(15, 4, n_episodes)
    )
    slope = np.where(
        trauma, rng.normal(1.9, 0.8, n_episodes), rng.normal(0.5, 0.3, n_episodes)
    )
    stalls = trauma & (rng.random(n_episodes) < 0.2)
    stop = rng.integers(3, 6, n_episodes)
    frames, item_frames = [], []
    for is_trauma, instrument, kind, n_items, high in (
        (True, "PCL-5", "OP", 20, 4),
        (False, "PHQ-9", "OH", 9, 3),
    ):
        rows = np.flatnonzero(is_asked & (turn % 2 == 0) & (trauma[owner] == is_trauma))
        rows = rows[rng.random(len(rows)) < 0.9]
        elapsed = np.where(
            stalls[owner[rows]], np.minimum(week[rows], stop[owner[rows]]), week[rows]
        )
        level = intake[owner[rows]] - slope[owner[rows]] * elapsed
        each = np.clip(level / n_items, 0, high)[:, None]
        values = each + rng.normal(0, 0.55, (len(rows), n_items))
        text = _answers(rng, values, 0, high)
        ids = np.char.add(kind, np.char.zfill(rows.astype(str), 7))
        start = sessions["started_at"].to_numpy()[rows].astype("datetime64[m]")
        frames.append(
            pd.DataFrame(
                {
                    "administration_id": ids,
                    "client_id": sessions["client_id"].to_numpy()[rows],
                    "therapist_id": "",
                    "session_id": "",
                    "instrument": instrument,
                    "version": "",
                    "rater": "client",
                    "administered_at": np.datetime_as_string(start - 15, unit="m"),
                    "total_reported": "",
                    "updated_at": np.datetime_as_string(start, unit="s") + "Z",
                    "deleted": "",
                    "day": sessions["day"].to_numpy()[rows],
                }
            )
        )
        names = [str(k) for k in range(1, n_items + 1)]
        item_frames.append(_long(ids, names, text, sessions["day"].to_numpy()[rows]))
    planted = np.flatnonzero(stalls)
    truth = pd.DataFrame(
        {
            "client_id": episodes["client_id"].to_numpy()[planted],
            "episode_number": planted,
            "instrument": "PCL-5",
            "last_gain_week": stop[planted],
        }
    )
    return (
        truth,
        pd.concat(frames, ignore_index=True),
        pd.concat(item_frames, ignore_index=True),
    )


# instrument -> items, highest answer, reversed items, mean answer at intake
_SIDE_SCALES: dict[str, tuple[list[str], int, tuple[str, ...], float]] = {
    "GAD-7": ([str(k) for k in range(1, 8)], 3, (), 1.9),
    "CORE-10": ([str(k) for k in range(1, 11)], 4, ("2", "3"), 2.1),
    "OQ-45": (
        [str(k) for k in range(1, 46)],
        4,
        ("1", "12", "13", "20", "21", "24", "31", "37", "43"),
        1.9,
    ),
    "ORS": (["1", "2", "3", "4"], 100, ("1", "2", "3", "4"), 60.0),
    "ITQ": ([f"{part}{k}" for part in "PC" for k in range(1, 10)], 4, (), 2.3),
}


def _side_forms(
    rng: np.random.Generator,
    episodes: pd.DataFrame,
    sessions: pd.DataFrame,
    parts: np.ndarray[Any, Any],
    every: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One more outcome scale an episode, every third time, and the therapist's PSQ.

    The scale of an episode goes by its number, so that a small clinic has them all. On
    the ORS every item is reversed: its level is drawn as distress.
    """
    owner = sessions["owner"].to_numpy()
    week = sessions["week"].to_numpy()
    is_asked = _asks_for_forms(sessions, every)
    frames, item_frames = [], []
    for scale, (instrument, (names, high, reversed_, level)) in enumerate(
        _SIDE_SCALES.items()
    ):
        rows = np.flatnonzero(
            is_asked & (week // every % 3 == 0) & (owner % 5 == scale)
        )
        slope = np.clip(rng.normal(0.03, 0.015, len(episodes)), 0, None)[owner[rows]]
        distress = level * (1 - np.minimum(0.8, slope * week[rows]))
        noise = rng.normal(0, 0.12 * high, (len(rows), len(names)))
        values = np.clip(distress[:, None] + noise, 0, high)
        is_reversed = np.isin(names, reversed_)
        values[:, is_reversed] = high - values[:, is_reversed]
        text = (
            np.round(values, 1).astype(str)
            if instrument == "ORS"
            else _answers(rng, values, 0, high)
        )
        ids = np.char.add(f"OS{scale}", np.char.zfill(rows.astype(str), 7))
        frames.append(_form_rows(sessions, rows, ids, instrument, "client", -20))
        item_frames.append(_long(ids, names, text, sessions["day"].to_numpy()[rows]))
    rows = np.flatnonzero(is_asked)
    rows = rows[rng.random(len(rows)) < 0.1]
    tension = rng.random(len(rows)) < np.clip(low_of(parts[rows]), 0.05, 0.9)
    answers = np.column_stack(
        [
            tension.astype(int).astype(str),
            np.where(tension, rng.integers(1, 6, len(rows)).astype(str), ""),
            np.where(tension, rng.integers(1, 6, len(rows)).astype(str), ""),
        ]
    )
    ids = np.char.add("PT", np.char.zfill(rows.astype(str), 7))
    frames.append(_form_rows(sessions, rows, ids, "PSQ", "therapist", 70))
    names = ["P_TENSION", "P_INTENSITY", "P_RESOLVED"]
    item_frames.append(_long(ids, names, answers, sessions["day"].to_numpy()[rows]))
    return (
        pd.concat(frames, ignore_index=True),
        pd.concat(item_frames, ignore_index=True),
    )


def _form_rows(
    sessions: pd.DataFrame,
    rows: np.ndarray[Any, Any],
    ids: np.ndarray[Any, Any],
    instrument: str,
    rater: str,
    minutes_after_start: int,
) -> pd.DataFrame:
    start = sessions["started_at"].to_numpy()[rows].astype("datetime64[m]")
    at = start + minutes_after_start
    is_therapist = rater == "therapist"
    return pd.DataFrame(
        {
            "administration_id": ids,
            "client_id": sessions["client_id"].to_numpy()[rows],
            "therapist_id": sessions["therapist_id"].to_numpy()[rows]
            if is_therapist
            else "",
            "session_id": sessions["session_id"].to_numpy()[rows],
            "instrument": instrument,
            "version": "",
            "rater": rater,
            "administered_at": np.datetime_as_string(at, unit="m"),
            "total_reported": "",
            "updated_at": np.datetime_as_string(at + 30, unit="s") + "Z",
            "deleted": "",
            "day": sessions["day"].to_numpy()[rows],
        }
    )


def _goals(
    rng: np.random.Generator, episodes: pd.DataFrame, until: date
) -> pd.DataFrame:
    """Two or three goals of each side at the start; some therapists revise theirs."""
    n = len(episodes)
    opened = episodes["opened_on"].to_numpy().astype("datetime64[D]")
    mismatch = rng.random(n) < 0.25
    base = rng.integers(0, len(_DOMAINS), n)
    frames = []
    for rater, n_goals in (("client", 3), ("therapist", 2)):
        for k in range(n_goals):
            shift = np.where(mismatch & (rater == "therapist"), 4, 0)
            frames.append(
                pd.DataFrame(
                    {
                        "goal_id": np.char.add(
                            f"G{rater[0].upper()}{k}-", np.arange(n).astype(str)
                        ),
                        "client_id": episodes["client_id"].to_numpy(),
                        "episode_id": episodes["episode_id"].to_numpy(),
                        "recorded_at": np.datetime_as_string(opened + k, unit="D"),
                        "rater": rater,
                        "domain": _DOMAINS[(base + k + shift) % len(_DOMAINS)],
                        "priority": str(k + 1),
                        "status": "active",
                        "mismatch": mismatch,
                    }
                )
            )
    revised = frames[3][mismatch].copy()
    revised["recorded_at"] = np.datetime_as_string(opened[mismatch] + 35, unit="D")
    revised["domain"] = _DOMAINS[(base[mismatch] + 6) % len(_DOMAINS)]
    frames.append(revised)
    goals = pd.concat(frames, ignore_index=True)
    goals["day"] = goals["recorded_at"]
    return goals[goals["recorded_at"] <= str(until)].reset_index(drop=True)


def _diagnoses(rng: np.random.Generator, episodes: pd.DataFrame) -> pd.DataFrame:
    trauma = episodes["trauma_focused"].to_numpy() == "true"
    return pd.DataFrame(
        {
            "client_id": episodes["client_id"].to_numpy(),
            "code": np.where(
                trauma, "F43.10", rng.choice(["F41.1", "F33.1"], len(episodes))
            ),
            "system": "icd10",
            "recorded_on": episodes["opened_on"].to_numpy(),
            "status": "active",
            "day": episodes["opened_on"].to_numpy(),
        }
    )


def _merges(people: pd.DataFrame, until: date) -> pd.DataFrame:
    """A duplicate record for every fiftieth client, merged three days before the end."""
    new = people["client_id"].to_numpy()[::50]
    return pd.DataFrame(
        {
            "old_client_id": np.char.add(new.astype(str), "-DUP"),
            "new_client_id": new,
            "merged_on": str(until - timedelta(days=3)),
            "day": str(until - timedelta(days=3)),
        }
    )


# --- deliveries ---------------------------------------------------------------------


def _deliver(
    rng: np.random.Generator, tables: dict[str, pd.DataFrame], inbox: Path, until: date
) -> None:
    """Write the opening snapshot, then a delta a night; late, corrected and repeated rows."""
    opening = until - timedelta(days=N_DELTAS)
    columns = {name: _canonical_columns(frame) for name, frame in tables.items()}
    arrives = {
        name: _arrival(rng, name, frame, opening) for name, frame in tables.items()
    }
    nights = [opening + timedelta(days=k) for k in range(N_DELTAS + 1)]
    for night in nights:
        chosen = {
            name: frame.loc[arrives[name] == str(night), columns[name]]
            for name, frame in tables.items()
        }
        is_first = night == opening
        _write_delivery(inbox / f"{night}", chosen, night, is_snapshot=is_first)


def _canonical_columns(frame: pd.DataFrame) -> list[str]:
    helpers = {"day", "owner", "week", "mismatch"}
    return [column for column in frame.columns if column not in helpers]


def _arrival(
    rng: np.random.Generator, name: str, frame: pd.DataFrame, opening: date
) -> np.ndarray[Any, Any]:
    """Return the night each row arrives: its own day's, later for late forms."""
    if "day" not in frame.columns:
        return np.full(len(frame), str(opening))
    day = frame["day"].to_numpy().astype("datetime64[D]")
    if name == "measures":
        day = day + (np.arange(len(frame)) % 41 == 0) * 4
    last = np.datetime64(opening) + N_DELTAS
    if name == "measure_items":
        ids = frame["administration_id"].to_numpy().astype(str)
        late = np.char.endswith(ids, "7") & (np.char.find(ids, "RS") >= 0)
        day = day + late * 4
    if name == "sessions":
        # Bookings are in the opening snapshot, or appear a fortnight ahead.
        day = np.where(day > last, last - 2, day)
    nights: np.ndarray[Any, Any] = np.datetime_as_string(
        np.clip(day, np.datetime64(opening), last), unit="D"
    )
    return nights


def _add_mess(
    rng: np.random.Generator, tables: dict[str, pd.DataFrame], until: date
) -> None:
    """Corrections, deletions, repeats, and forms under an id that is later merged."""
    sessions = tables["sessions"]
    recent = str(until - timedelta(days=1))
    past = np.flatnonzero(
        (sessions["day"] <= str(until - timedelta(days=30))).to_numpy()
    )
    corrected = sessions.iloc[past[5::503]].copy()
    corrected["status"] = "no_show"
    corrected["updated_at"] = f"{recent}T20:00:00Z"
    corrected["day"] = recent
    deleted = sessions.iloc[past[9::701]].copy()
    deleted["deleted"] = "true"
    deleted["updated_at"] = f"{recent}T21:00:00Z"
    deleted["day"] = recent
    again = sessions.iloc[past[2::401]].copy()
    again["day"] = recent
    tables["sessions"] = pd.concat(
        [sessions, corrected, deleted, again], ignore_index=True
    )

    merges = tables["client_merges"]
    old = dict(zip(merges["new_client_id"], merges["old_client_id"], strict=True))
    people = tables["clients"]
    doubles = people[people["client_id"].isin(list(old))].copy()
    doubles["client_id"] = doubles["client_id"].map(old)
    tables["clients"] = pd.concat([people, doubles], ignore_index=True)
    measures = tables["measures"]
    renamed = measures["client_id"].isin(list(old)) & (
        np.arange(len(measures)) % 4 == 0
    )
    measures.loc[renamed, "client_id"] = measures.loc[renamed, "client_id"].map(old)
    unknown = np.arange(len(measures)) % 997 == 500
    measures.loc[unknown, "instrument"] = "MOOD-CHECK"


def _write_delivery(
    folder: Path, tables: dict[str, pd.DataFrame], night: date, *, is_snapshot: bool
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mode = "snapshot" if is_snapshot else "delta"
    # A later block adds to what the blocks before it wrote.
    written = {path.stem: {"mode": mode} for path in folder.glob("*.csv")}
    for name, frame in sorted(tables.items()):
        if name == "episodes":
            frame = frame[frame["episode_id"] != ""]
        if len(frame) == 0:
            continue
        frame.to_csv(
            folder / f"{name}.csv",
            mode="a",
            header=name not in written,
            index=False,
            lineterminator="\n",
            quoting=csv.QUOTE_MINIMAL,
            chunksize=50_000,
        )
        written[name] = {"mode": mode}
    manifest = {
        "received_at": f"{night + timedelta(days=1)}T02:00:00Z",
        "tables": written,
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    (folder / "_SUCCESS").write_bytes(b"")


def _truth(
    ruptures: pd.DataFrame,
    stable: pd.DataFrame,
    stalls: pd.DataFrame,
    episodes: pd.DataFrame,
    goals: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    dropouts = episodes.loc[
        episodes["closure_reason"] == "dropped_out",
        ["client_id", "episode_id", "closed_on"],
    ]
    mismatches = goals.loc[
        goals["mismatch"], ["client_id", "episode_id"]
    ].drop_duplicates()
    return {
        "ruptures": ruptures,
        "stable": stable,
        "stalls": stalls,
        "dropouts": dropouts,
        "goal_mismatches": mismatches,
    }


def _write_truth(folder: Path, truth: dict[str, pd.DataFrame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in truth.items():
        path = folder / f"{name}.csv"
        frame.to_csv(
            path,
            mode="a",
            header=not path.exists(),
            index=False,
            lineterminator="\n",
        )
