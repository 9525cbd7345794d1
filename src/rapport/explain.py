"""``rapport explain``: why each rupture and signal of one episode stands.

Everything is read from the published snapshot; nothing is computed anew. The words
describe: they say what came after what, never what caused it, and blame nobody.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb

from rapport.errors import UsageError
from rapport.settings import Settings
from rapport.warehouse import open_published

_EPISODE = """
select
    episodes.episode_key,
    episodes.opened_on,
    episodes.closed_on,
    episodes.episode_status,
    episodes.episode_origin,
    episodes.trauma_focused,
    episodes.n_attended,
    (
        select as_of from ops.run where outcome = 'published'
        order by started_at desc limit 1
    ) as as_of
from core.fct_episode as episodes
where episodes.episode_key = $episode
"""
_METHOD = """
select method, method_version, baseline_words, rule, source, min_scores, is_retrospective,
    stable_share
from alliance.dim_rupture_method where method = $method
"""
_COHORT = """
select pattern, instrument, n_scores from alliance.rupture_cohort
where episode_key = $episode and method = $method
"""
# The series of scores that is drawn: the method's own, else the primary instrument's.
_SCORES = """
with drawn as (
    select
        coalesce(
            max(case when method = $method then instrument end),
            max(case when method = 'default_rc3' then instrument end)
        ) as instrument,
        max(case when method = 'default_rc3' then instrument end) as primary_instrument
    from alliance.rupture_cohort where episode_key = $episode
),
scores as (
    select
        alliance.*,
        min(alliance.session_number) over (
            partition by sessions.therapist_key
        ) as pair_from
    from alliance.fct_alliance_session as alliance
    inner join core.fct_session as sessions on alliance.session_key = sessions.session_key
    cross join drawn
    where
        alliance.episode_key = $episode
        and alliance.client_total is not null
        and alliance.instrument = case
            when drawn.instrument in (select instrument from alliance.fct_alliance_session)
                then drawn.instrument
            else drawn.primary_instrument
        end
)
select
    session_number,
    session_date,
    instrument,
    client_total,
    case when $method = 'default_rc3' then baseline end as baseline,
    band,
    dense_rank() over (order by pair_from) as therapist
from scores
order by session_number
"""
_SCALE = """
select scale_min, scale_max, reliable_change, citation from core.dim_instrument
where instrument = $instrument and rater = 'client' and subscale = 'total'
limit 1
"""
_RUPTURES = """
select ruptures.* exclude (rupture_key, client_key, therapist_key, first_seen_at)
from alliance.fct_rupture as ruptures
inner join alliance.rupture_cohort as cohorts
    on
        ruptures.episode_key = cohorts.episode_key
        and ruptures.method = cohorts.method
        and ruptures.instrument = cohorts.instrument
where ruptures.episode_key = $episode and ruptures.method = $method
order by ruptures.onset_session_number, ruptures.rupture_key
"""
_SIGNALS = """
select
    signals.signal,
    kinds.label,
    signals.instrument,
    signals.opened_on,
    signals.closed_on,
    signals.closed_reason,
    signals.status,
    cast(signals.first_detected_at as date) as first_detected_on,
    signals.evidence,
    kinds.rule,
    kinds.source
from outcomes.fct_care_signal as signals
inner join outcomes.dim_care_signal as kinds on signals.signal = kinds.signal
where signals.episode_key = $episode
order by signals.opened_on, kinds.position, signals.signal_key
"""

_PARTS = {
    "goal": "Agreement on goals dropped most.",
    "task": "Agreement on tasks dropped most.",
    "bond": "The bond dropped most.",
    "none": "No part is known to have dropped more than the others.",
}
_PATTERNS = {
    "insufficient": "Too few scores with one therapist for this method, which needs {min}.",
    "no_rupture": "No score of this episode counts as a rupture by this method.",
}
_CLOSED = {
    "repaired": "the alliance came back",
    "escalated": "the repair window passed; it goes on as a rupture not repaired",
    "therapist_changed": "another therapist has taken over",
    "reviewed": "the alliance was looked at again",
    "resumed": "recovery went on",
    "settled": "later forms no longer show it",
    "recovered": "a later score no longer shows it",
    "attended": "a session was attended",
    "episode_closed": "the episode of care closed",
    "withdrawn": "the data were corrected, or an appointment was booked since",
}
_NUMBERS = {
    "onset_session": "onset at session {}",
    "opened_session": "opened at session {}",
    "first_session": "first pair at session {}",
    "stall_session": "stalled at session {}",
    "after_session": "after session {}",
    "drop_ratio": "drop {} times the reliable change",
    "loss_ratio": "worse than the first score by {} times the reliable change",
    "gap_ratio": "therapist minus client {} units of the scale",
    "share_of_range": "at {} of the scale's range (0 to 1)",
    "n_missed": "{} sessions missed in a row",
    "n_days": "{} days since a session was attended",
}
_MARKS = (
    "● score   ▼ onset   ○ within a rupture   ◆ repair   ┄ what it was compared with"
)
_HEIGHT, _MOST_COLUMNS = 9, 72


def explain(settings: Settings, episode_key: str, method: str) -> dict[str, Any]:
    """Return all that the snapshot says of one episode's ruptures and signals.

    Args:
        settings: the settings.
        episode_key: the episode, by its published key.
        method: the method whose ruptures are told.

    Raises:
        UsageError: no such episode or method in the snapshot (exit 2).
    """
    with open_published(settings) as con:
        asked = {"episode": episode_key, "method": method}
        return {
            "episode": _episode(con, asked),
            "method": _method(con, asked),
            "cohort": (_rows(con, _COHORT, asked) or [{}])[0],
            **_scores(con, asked),
            "ruptures": _rows(con, _RUPTURES, asked),
            "signals": [
                {**row, "evidence": json.loads(row["evidence"])}
                for row in _rows(con, _SIGNALS, asked)
            ],
        }


def _rows(
    con: duckdb.DuckDBPyConnection, sql: str, asked: dict[str, str]
) -> list[dict[str, Any]]:
    used = {name: value for name, value in asked.items() if f"${name}" in sql}
    cursor = con.execute(sql, used)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _episode(con: duckdb.DuckDBPyConnection, asked: dict[str, str]) -> dict[str, Any]:
    found = _rows(con, _EPISODE, asked)
    if not found:
        raise UsageError(
            "the snapshot holds no episode of that key",
            next_step="take one from the digest, or ask: rapport sql "
            '"select episode_key, opened_on from core.fct_episode"',
            reason="episode_unknown",
        )
    return found[0]


def _method(con: duckdb.DuckDBPyConnection, asked: dict[str, str]) -> dict[str, Any]:
    found = _rows(con, _METHOD, asked)
    if not found:
        known = con.execute("select method from alliance.dim_rupture_method order by 1")
        names = ", ".join(name for (name,) in known.fetchall())
        raise UsageError(
            "the snapshot holds no method of that name",
            next_step=f"one of {names}",
            reason="method_unknown",
        )
    return found[0]


def _scores(con: duckdb.DuckDBPyConnection, asked: dict[str, str]) -> dict[str, Any]:
    scores = _rows(con, _SCORES, asked)
    if not scores:
        return {"scores": [], "scale": None}
    instrument = scores[0]["instrument"]
    scale = _rows(con, _SCALE, {"instrument": instrument})[0]
    return {"scores": scores, "scale": {"instrument": instrument, **scale}}


def to_text(found: dict[str, Any]) -> str:
    """Return an explanation as a person reads it, lines of at most 88 characters or so."""
    lines = [*_head(found), ""]
    if found["scores"]:
        lines += [*plot(found), ""]
    lines += [*_ruptures_text(found), "", *_signals_text(found), ""]
    lines += [
        "A rupture or signal is a reason to ask, not a finding. What came after one is told",
        "in its order; that says nothing of what brought it about.",
    ]
    return "\n".join(lines) + "\n"


def _head(found: dict[str, Any]) -> list[str]:
    episode, method = found["episode"], found["method"]
    state = (
        f"closed on {episode['closed_on']}"
        if episode["episode_status"] == "closed"
        else "open"
    )
    focus = {True: "trauma-focused", False: "not trauma-focused", None: "focus unknown"}
    return [
        f"Episode {episode['episode_key']}, as of {episode['as_of']}",
        f"Opened on {episode['opened_on']}, {state}; {episode['n_attended']} sessions "
        f"attended; {focus[episode['trauma_focused']]}.",
        f"Method {method['method']}, version {method['method_version']}"
        + (
            "; it looks back, so a later score may change it."
            if method["is_retrospective"]
            else "."
        ),
    ]


def plot(found: dict[str, Any]) -> list[str]:
    """Draw the client's totals by session, a column a session and a row a level."""
    scores, scale = found["scores"], found["scale"]
    low, high = float(scale["scale_min"]), float(scale["scale_max"])
    last = scores[-1]["session_number"]
    first = max(1, last - _MOST_COLUMNS + 1)
    width = 3 if last <= 24 else 2 if last <= 36 else 1
    step = (high - low) / (_HEIGHT - 1)

    def level(value: float) -> int:
        return min(_HEIGHT - 1, max(0, round((value - low) / step)))

    grid = [[" "] * (width * (last - first + 1)) for _ in range(_HEIGHT)]
    inside = _compared(found)
    for score in scores:
        column = width * (score["session_number"] - first)
        if column < 0:
            continue
        baseline = inside.get(score["session_number"], score["baseline"])
        if baseline is not None:
            grid[level(baseline)][column] = "┄"
        grid[level(score["client_total"])][column] = _mark(found, score)
    axis = [" "] * (width * (last - first + 1) + 4)
    for number in range(first, last + 1):
        if number == first or number % 5 == 0:
            place = width * (number - first)
            axis[place : place + len(str(number))] = str(number)
    return [
        f"Client's total on {scale['instrument']} ({low:g} to {high:g}) by session",
        *(
            f"{low + step * row:5.1f} │ {''.join(grid[row])}".rstrip()
            for row in reversed(range(_HEIGHT))
        ),
        "      └─" + "─" * (width * (last - first + 1)),
        f"        {''.join(axis)}".rstrip(),
        *_pairs(scores, first, width),
        f"  {_MARKS}",
    ]


def _pairs(scores: list[dict[str, Any]], first: int, width: int) -> list[str]:
    """Say which sessions are of which therapist, by letters, when there are several."""
    if len({score["therapist"] for score in scores}) < 2:
        return []
    row = [" "] * (width * scores[-1]["session_number"])
    for score in scores:
        if score["session_number"] >= first:
            place = width * (score["session_number"] - first)
            row[place] = chr(ord("A") + (score["therapist"] - 1) % 26)
    return [f"  pair  {''.join(row)}".rstrip()]


def _compared(found: dict[str, Any]) -> dict[int, float]:
    """Return, for sessions within a rupture, the baseline that the rupture keeps."""
    compared: dict[int, float] = {}
    for rupture in found["ruptures"]:
        if rupture["baseline"] is None:
            continue
        for number in _sessions_within(found, rupture):
            compared[number] = rupture["baseline"]
    return compared


def _sessions_within(found: dict[str, Any], rupture: dict[str, Any]) -> Sequence[int]:
    onset, repair = rupture["onset_session_number"], rupture["repair_session_number"]
    pair = next(
        (s["therapist"] for s in found["scores"] if s["session_number"] == onset), None
    )
    return [
        s["session_number"]
        for s in found["scores"]
        if s["session_number"] >= onset
        and (repair is None or s["session_number"] < repair)
        and s["therapist"] == pair
    ]


def _mark(found: dict[str, Any], score: dict[str, Any]) -> str:
    number = score["session_number"]
    for rupture in found["ruptures"]:
        if number == rupture["onset_session_number"]:
            return "▼"
        if number == rupture["repair_session_number"]:
            return "◆"
    if any(number in _sessions_within(found, r) for r in found["ruptures"]):
        return "○"
    return "●"


def _ruptures_text(found: dict[str, Any]) -> list[str]:
    method, ruptures = found["method"], found["ruptures"]
    lines = [f"Ruptures ({len(ruptures)})"]
    if method["stable_share"] is not None:
        said = (
            "For a client whose alliance never changes this rule fires by error alone "
            f"at least once in twelve scored sessions in {method['stable_share']:.1%} of "
            "cases. A drop is a reason to ask, not a finding."
        )
        lines += _wrapped("  ", said)
    if not ruptures:
        pattern = found["cohort"].get("pattern", "insufficient")
        said = _PATTERNS.get(pattern, _PATTERNS["no_rupture"])
        lines.append(f"  {said.format(min=method['min_scores'])}")
    for number, rupture in enumerate(ruptures, start=1):
        lines += _rupture_text(number, rupture, found)
    return [
        *lines,
        *_wrapped("  Rule: ", method["rule"]),
        *_wrapped("  Source: ", method["source"]),
    ]


def _rupture_text(
    number: int, rupture: dict[str, Any], found: dict[str, Any]
) -> list[str]:
    said = [f"Session {rupture['onset_session_number']}, {rupture['onset_date']}:"]
    if rupture["onset_score"] is not None:
        said.append(f"the client's total was {rupture['onset_score']:.2f}.")
    if rupture["baseline"] is not None:
        said.append(
            f"It was compared with {rupture['baseline']:.2f}, "
            f"{found['method']['baseline_words']}."
        )
    if rupture["drop_ratio"] is not None:
        change = rupture["drop_size"] / rupture["drop_ratio"]
        said.append(
            f"The drop of {rupture['drop_size']:.2f} is {rupture['drop_ratio']:.2f} "
            f"times the reliable change ({change:.2f})."
        )
    said.append(f"It counts as {rupture['strength']}.")
    if found["method"]["method"] != "psq_direct":
        said.append(_PARTS[rupture["lead_component"]])
    said.append(_course_text(rupture, found))
    return _wrapped(f"  {number}. ", " ".join(said))


def _course_text(rupture: dict[str, Any], found: dict[str, Any]) -> str:
    repair = rupture["repair_session_number"]
    if repair is not None:
        later = rupture["sessions_to_repair"]
        total = next(
            (
                s["client_total"]
                for s in found["scores"]
                if s["session_number"] == repair
            ),
            None,
        )
        when = {0: "in the same session", 1: "one session later"}.get(
            later, f"{later} sessions later"
        )
        level = f", at {total:.2f}" if total is not None else ""
        kind = "within" if rupture["status"] == "resolved" else "after"
        return (
            f"It was repaired at session {repair}, {rupture['repair_date']}{level}: "
            f"{when}, {kind} the repair window ({rupture['status']})."
        )
    return {
        "pending": "Too few scores have followed to say whether it was repaired (pending).",
        "unresolved": "The repair window has passed and no score shows a repair "
        "(unresolved).",
        "unresolved_at_close": "The episode closed before a score showed a repair "
        "(unresolved_at_close).",
    }[rupture["status"]]


def _signals_text(found: dict[str, Any]) -> list[str]:
    signals = found["signals"]
    lines = [f"Care signals ({len(signals)})"]
    if not signals:
        lines.append("  None has opened in this episode.")
    first: dict[str, int] = {}
    for number, signal in enumerate(signals, start=1):
        told = first.setdefault(signal["signal"], number)
        lines += _signal_text(number, signal, found["episode"]["as_of"], told)
    return lines


def _signal_text(
    number: int, signal: dict[str, Any], as_of: date, told: int
) -> list[str]:
    """Tell one signal; its rule and source once, where they are first ``told``."""
    instrument = f" on {signal['instrument']}" if signal["instrument"] else ""
    if signal["closed_on"] is None:
        n_days = (as_of - signal["opened_on"]).days
        course = f"open since {signal['opened_on']}, {n_days} days"
    else:
        course = (
            f"opened on {signal['opened_on']}, closed on {signal['closed_on']}: "
            f"{_CLOSED[signal['closed_reason']]} ({signal['closed_reason']})"
        )
    numbers = ", ".join(
        _NUMBERS[name].format(value)
        for name, value in signal["evidence"].items()
        if name in _NUMBERS
    )
    lines = [
        *_wrapped(f"  {number}. ", f"{signal['label']}{instrument}: {course}."),
        *_wrapped("     Numbers: ", f"{numbers}."),
    ]
    if told < number:
        return [*lines, f"     Rule and source: as for {told}."]
    return [
        *lines,
        *_wrapped("     Rule: ", signal["rule"]),
        *_wrapped("     Source: ", signal["source"]),
    ]


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, 88, initial_indent=head, subsequent_indent=" " * min(len(head), 5)
    )
