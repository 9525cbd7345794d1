"""Section C: alliance sessions, series, the primary instrument."""

from __future__ import annotations

from dataclasses import dataclass, field

from oracle.decimals import ge, le, lt
from oracle.linking import used_form
from oracle.registry import ALLIANCE, FORMS, SCALES, Instrument
from oracle.scoring import Administration
from oracle.sessions import Episode, Session
from oracle.settings import Settings

COMPONENTS = ("total", "goal", "task", "bond")


@dataclass
class AllianceSession:
    """One row of ``fct_alliance_session``."""

    session: Session
    instrument: Instrument
    client: dict[str, float | None]
    therapist: dict[str, float | None]
    gap: dict[str, float | None]
    band: str | None
    series_therapist: str | None
    baseline: float | None = None
    in_open_rupture: bool = False


@dataclass(frozen=True)
class Point:
    """One valid client total of a series, and its subscales."""

    session: Session
    total: float
    subscales: dict[str, float | None] = field(default_factory=dict)

    @property
    def number(self) -> int:
        assert self.session.number is not None
        return self.session.number


UsedForms = dict[tuple[str, str, str], Administration]  # (session, instrument, rater)


def used_forms(forms: list[Administration]) -> UsedForms:
    """B10 for every session, instrument and rater. A3 forms of a wrong rater are ignored."""
    kinds: dict[tuple[str, str, str], list[Administration]] = {}
    for form in forms:
        if form.session is None or (form.code in FORMS and form.has_wrong_rater):
            continue
        kind = (form.session.key, form.code, form.rater)
        kinds.setdefault(kind, []).append(form)
    return {kind: used_form(several) for kind, several in kinds.items()}


def alliance_session(
    session: Session, instrument: Instrument, used: UsedForms, settings: Settings
) -> AllianceSession | None:
    """C: a row where a used client or therapist form has any valid score."""
    by_rater = {
        rater: used.get((session.key, instrument.code, rater))
        for rater in ("client", "therapist")
    }
    if not any(
        form and any(s.score is not None for s in form.scores.values())
        for form in by_rater.values()
    ):
        return None
    client, therapist = (
        {part: form.valid(part) if form else None for part in COMPONENTS}
        for form in by_rater.values()
    )
    return AllianceSession(
        session,
        instrument,
        client,
        therapist,
        {
            part: None
            if client[part] is None or therapist[part] is None
            else therapist[part] - client[part]
            for part in COMPONENTS
        },
        band(instrument, client["total"], settings),
        _series_therapist(session, by_rater["client"]),
    )


def _series_therapist(session: Session, form: Administration | None) -> str | None:
    """C, Series: the session's therapist, else the form's, else the episode's."""
    named = session.therapist or (form.therapist if form else None)
    return named or (session.episode.therapist if session.episode else None)


def band(instrument: Instrument, total: float | None, settings: Settings) -> str | None:
    """C: weak, moderate, strong; on the 1–5 mean, for WAI-S its place on 1–7."""
    if total is None:
        return None
    if instrument.code == "SRS":
        if le(total, 34):
            return "weak"
        return "strong" if ge(total, 39) else "moderate"

    def native(on_five: float) -> float:
        return instrument.total_low + (on_five - 1) * instrument.unit

    if lt(total, native(settings["alliance.band_weak_below"])):
        return "weak"
    is_strong = ge(total, native(settings["alliance.band_strong_from"]))
    return "strong" if is_strong else "moderate"


def primary_instrument(
    episode: Episode, rows: list[AllianceSession], settings: Settings
) -> Instrument | None:
    """C: most sessions with a valid client total; tie: WAI-SR, WAI-S, SRS."""
    counts = {
        instrument.code: sum(
            row.instrument is instrument and row.client["total"] is not None
            for row in rows
            if row.session.episode is episode
        )
        for instrument in ALLIANCE
    }
    set_one = settings["alliance.primary_instrument"]
    known = [set_one] if set_one != "auto" else list(counts)
    best = max(known, key=lambda code: counts[code])  # the first of equals
    return SCALES[best] if counts[best] else None


def series_of(
    episode: Episode, instrument: Instrument, rows: list[AllianceSession]
) -> dict[str | None, list[Point]]:
    """C: one series a therapist, in session-number order."""
    series: dict[str | None, list[Point]] = {}
    for row in sorted(rows, key=lambda row: row.session.number or 0):
        total = row.client["total"]
        if row.session.episode is not episode or row.instrument is not instrument:
            continue
        if total is not None:
            point = Point(row.session, total, row.client)
            series.setdefault(row.series_therapist, []).append(point)
    return series
