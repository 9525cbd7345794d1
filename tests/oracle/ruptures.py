"""Section D: one engine, many methods."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from oracle.alliance import Point
from oracle.decimals import EPS, ge, gt, le, lt, mean, sample_sd
from oracle.registry import SRS, Instrument
from oracle.scoring import Administration
from oracle.sessions import Episode, Session
from oracle.settings import Settings

SUBSCALES = ("goal", "task", "bond")
MINIMUM = {
    "default_rc3": 3,
    "adjacent_rci": 2,
    "v_shape_sd": 2,
    "control_chart_l1": 5,
    "control_chart_l2": 5,
    "control_chart_l3": 5,
    "abs_drop": 2,
    "prior_mean_z": 4,
    "gumz_decline": 3,
    "sudden_drop": 4,
    "psq_direct": 1,
    "srs_concern": 1,
}
# Two-sided 5 % points of t for 2, 3 and 4 degrees of freedom (D3, sudden_drop).
_T_CRITICAL = {2: 4.303, 3: 3.182, 4: 2.776}


@dataclass(frozen=True)
class Trigger:
    """A trigger that holds: baseline B, repair level R, the sessions B is made of."""

    baseline: float
    repair_level: float
    reference: tuple[int, ...]


@dataclass(frozen=True)
class Rupture:
    """One row of ``fct_rupture``."""

    method: str
    episode: Episode
    therapist: str | None
    instrument: str
    onset: Session
    baseline: float | None
    onset_score: float | None
    trough_score: float | None
    drop_size: float | None
    drop_ratio: float | None
    strength: str
    lead_component: str
    shape: str | None
    status: str
    repair: Session | None
    sessions_to_repair: int | None
    escalated_at: Session | None  # the W-th further score, when none of the W repaired

    @property
    def key(self) -> str:
        """D1: method, instrument, series and the onset's session."""
        return "|".join(
            [
                "rupture",
                self.method,
                self.instrument,
                self.episode.key,
                str(self.onset.number),
            ]
        )

    def is_open_at(self, number: int) -> bool:
        """C: from the onset up to, not including, the repair session."""
        assert self.onset.number is not None
        if number < self.onset.number:
            return False
        return self.repair is None or number < (self.repair.number or 0)


@dataclass(frozen=True)
class Spell:
    """Places in a series: onset, repair (null: none), and the trigger that opened it."""

    onset: int
    repair: int | None
    trigger: Trigger | None = None


def walk(
    n: int,
    opens: Callable[[int, list[Spell]], Trigger | None],
    repairs: Callable[[int, Spell], bool],
) -> list[Spell]:
    """D1: go in order with at most one open rupture."""
    spells: list[Spell] = []
    open_one: Spell | None = None
    for t in range(n):
        if open_one is None:
            trigger = opens(t, spells)
            if trigger is not None:
                open_one = Spell(t, None, trigger)
        elif repairs(t, open_one):
            spells.append(Spell(open_one.onset, t, open_one.trigger))
            open_one = None
    return [*spells, open_one] if open_one else spells


def outside(t: int, spells: list[Spell]) -> list[int]:
    """Places before t outside any rupture; the repair score counts."""
    return [
        i
        for i in range(t)
        if not any(s.onset <= i and (s.repair is None or i < s.repair) for s in spells)
    ]


# --- triggers: (series, t, spells so far) -> what opens at t ---------------------------


def default_baseline(
    x: list[float], t: int, spells: list[Spell], settings: Settings
) -> Trigger | None:
    """D2: B and what it is made of, whether or not a drop is seen."""
    before = outside(t, spells)[-settings["rupture.baseline_scores"] :]
    if len(before) < settings["rupture.baseline_min"]:
        return None
    b = mean([x[i] for i in before])
    return Trigger(b, 0.0, tuple(before))


def trigger_of(
    method: str, instrument: Instrument, x: list[float], t: int, spells: list[Spell],
    settings: Settings,
) -> Trigger | None:  # fmt: skip
    """D2 and D3: the trigger of a method at place t of a series of totals."""
    rc = instrument.rc_total_of(settings)
    assert rc is not None
    u, sd_ref = instrument.unit, instrument.sd_ref
    fraction = settings["rupture.repair_fraction"]
    if method == "default_rc3":
        found = default_baseline(x, t, spells, settings)
        if found is None or not le(x[t], found.baseline - rc):
            return None
        return Trigger(found.baseline, found.baseline - fraction * rc, found.reference)
    if method.startswith("control_chart"):
        return _control_chart(x, t, int(method[-1]))
    if method == "prior_mean_z":
        return _prior_mean_z(x, t, spells, u)
    if method == "gumz_decline":
        return _gumz_decline(x, t, spells, sd_ref)
    if t == 0:
        return None
    b = x[t - 1]
    if method == "adjacent_rci":
        return Trigger(b, b - fraction * rc, (t - 1,)) if le(x[t], b - rc) else None
    if method == "v_shape_sd":
        is_drop = le(x[t], b - sd_ref)
        return Trigger(b, b - 0.25 * sd_ref, (t - 1,)) if is_drop else None
    if method == "abs_drop":
        return Trigger(b, b - 0.5 * u, (t - 1,)) if le(x[t], b - u) else None
    assert method == "sudden_drop"
    is_drop = (
        ge(b - x[t], rc)
        and ge(b - x[t], 0.25 * (b - instrument.total_low))
        and _t_test(x, t)
    )
    return Trigger(b, b - 0.5 * (b - x[t]), (t - 1,)) if is_drop else None


def _control_chart(x: list[float], t: int, limits: int) -> Trigger | None:
    centre = mean(x)
    moves = [abs(after - before) for before, after in itertools.pairwise(x)]
    sigma = mean(moves) / 1.128
    if sigma <= EPS or not lt(x[t], centre - limits * sigma):
        return None
    return Trigger(centre, centre, tuple(range(t)))


def _prior_mean_z(
    x: list[float], t: int, spells: list[Spell], u: float
) -> Trigger | None:
    before = outside(t, spells)
    if len(before) < 3:
        return None
    values = [x[i] for i in before]
    b = mean(values)
    s = max(sample_sd(values) or 0.0, 0.2 * u)
    return Trigger(b, b - s, tuple(before)) if ge((b - x[t]) / s, 2) else None


def _gumz_decline(
    x: list[float], t: int, spells: list[Spell], sd_ref: float
) -> Trigger | None:
    first = spells[-1].repair if spells else 0  # a run restarts at a repair score
    p = t
    while p > (first or 0) and gt(x[p - 1], x[p]):
        p -= 1
    size = max(sample_sd(x) or 0.0, sd_ref)
    if p == t or not ge(x[p] - x[t], size):
        return None
    return Trigger(x[p], x[p] - 0.5 * size, (p,))


def _t_test(x: list[float], t: int) -> bool:
    """D3, sudden_drop (c): windows of all scores, ruptured or not."""
    before, after = x[max(0, t - 3) : t], x[t : t + 3]
    n1, n2 = len(before), len(after)
    if n1 < 2 or n2 < 2:
        return False
    m1, m2 = mean(before), mean(after)
    squares = math.fsum((v - m1) ** 2 for v in before)
    squares += math.fsum((v - m2) ** 2 for v in after)
    pooled = math.sqrt(squares / (n1 + n2 - 2))
    if pooled <= 1e-9:
        return gt(m1, m2)
    t_value = (m1 - m2) / (pooled * math.sqrt(1 / n1 + 1 / n2))
    return ge(t_value, _T_CRITICAL[n1 + n2 - 2])


# --- ruptures of one series ------------------------------------------------------------


def score_spells(
    method: str, instrument: Instrument, points: list[Point], settings: Settings
) -> list[Spell]:
    """The spells of a series of totals, by a method of D2 or D3."""
    x = [point.total for point in points]
    if len(x) < MINIMUM[method]:
        return []
    return walk(
        len(x),
        lambda t, spells: trigger_of(method, instrument, x, t, spells, settings),
        lambda t, spell: ge(x[t], spell.trigger.repair_level),
    )


def score_ruptures(
    method: str, episode: Episode, therapist: str | None, instrument: Instrument,
    points: list[Point], settings: Settings,
) -> list[Rupture]:  # fmt: skip
    """D1–D3: the ruptures of a series of totals."""
    rc = instrument.rc_total_of(settings)
    ruptures = []
    for spell in score_spells(method, instrument, points, settings):
        assert spell.trigger is not None and rc is not None
        onset = points[spell.onset]
        until = len(points) if spell.repair is None else spell.repair
        drop = spell.trigger.baseline - onset.total
        ratio = drop / rc
        ruptures.append(
            Rupture(
                method=method,
                episode=episode,
                therapist=therapist,
                instrument=instrument.code,
                onset=onset.session,
                baseline=spell.trigger.baseline,
                onset_score=onset.total,
                trough_score=min(p.total for p in points[spell.onset : until]),
                drop_size=drop,
                drop_ratio=ratio,
                strength="likely"
                if ge(ratio, settings["rupture.likely_ratio"])
                else "possible",
                lead_component=_lead(
                    instrument,
                    [points[i] for i in spell.trigger.reference],
                    onset,
                    settings,
                ),
                **_course(spell, [p.session for p in points], episode, settings),
            )
        )
    return ruptures


def _course(
    spell: Spell, sessions: list[Session], episode: Episode, settings: Settings
) -> dict[str, object]:
    """D1: status, shape, repair, and when the window passed without a repair."""
    window = settings["rupture.repair_window"]
    onset = sessions[spell.onset]
    n_further = len(sessions) - 1 - spell.onset
    steps = None if spell.repair is None else spell.repair - spell.onset
    repair = None if spell.repair is None else sessions[spell.repair]
    if steps is not None:
        status = "resolved" if steps <= window else "late_repair"
        shape = "v" if steps <= 1 else "u"
    elif n_further >= window:
        status, shape = "unresolved", "l"
    elif episode.is_closed:
        status, shape = "unresolved_at_close", "l"
    else:
        status, shape = "pending", None
    has_escalated = n_further >= window and (steps is None or steps > window)
    return {
        "status": status,
        "shape": shape,
        "repair": repair,
        "sessions_to_repair": None if repair is None else repair.number - onset.number,
        "escalated_at": sessions[spell.onset + window] if has_escalated else None,
    }


def _lead(
    instrument: Instrument, reference: list[Point], onset: Point, settings: Settings
) -> str:
    """D1: the component that dropped most, in reliable changes of a subscale."""
    rc = instrument.rc_subscale_of(settings)
    drops: dict[str, float] = {}
    for part in SUBSCALES:
        now = onset.subscales.get(part)
        before = [
            value
            for point in reference
            if (value := point.subscales.get(part)) is not None
        ]
        if now is not None and before:
            drops[part] = (mean(before) - now) / rc
    largest = max(drops.values(), default=0.0)
    if not gt(largest, 0):
        return "none"
    return next(part for part, drop in drops.items() if ge(drop, largest))


def compared_with(
    instrument: Instrument, points: list[Point], settings: Settings
) -> list[float | None]:
    """C, ``baseline``: what default_rc3 compared each total of a series with."""
    x = [point.total for point in points]
    spells = score_spells("default_rc3", instrument, points, settings)
    if len(x) < MINIMUM["default_rc3"]:
        return [None] * len(x)
    values: list[float | None] = []
    for t in range(len(x)):
        own = [
            s for s in spells if s.onset <= t and (s.repair is None or t <= s.repair)
        ]
        if own:
            assert own[0].trigger is not None
            values.append(own[0].trigger.baseline)
        else:
            earlier = [spell for spell in spells if spell.onset < t]
            found = default_baseline(x, t, earlier, settings)
            values.append(found.baseline if found else None)
    return values


# --- direct methods --------------------------------------------------------------------


def psq_series(
    episode: Episode, forms: list[Administration]
) -> dict[str | None, list[Administration]]:
    """D3, psq_direct: used client forms with P_TENSION answered, a series a therapist."""
    series: dict[str | None, list[Administration]] = {}
    for form in sorted(forms, key=lambda form: form.session.number):
        if form.session.episode is episode and form.answer("P_TENSION") is not None:
            session = form.session
            therapist = session.therapist or form.therapist or episode.therapist
            series.setdefault(therapist, []).append(form)
    return series


def psq_ruptures(
    episode: Episode, therapist: str | None, forms: list[Administration],
    settings: Settings,
) -> list[Rupture]:  # fmt: skip
    """D3, psq_direct."""

    def is_resolved(form: Administration) -> bool:
        resolved = form.answer("P_RESOLVED")
        return resolved is not None and resolved >= 4

    spells: list[Spell] = []
    open_at: int | None = None
    for t, form in enumerate(forms):
        if open_at is None:
            if form.answer("P_TENSION") == 1:
                if is_resolved(form):
                    spells.append(Spell(t, t))
                else:
                    open_at = t
        elif form.answer("P_TENSION") == 0 or is_resolved(form):
            spells.append(Spell(open_at, t))
            open_at = None
    if open_at is not None:
        spells.append(Spell(open_at, None))
    sessions = [form.session for form in forms]
    return [
        Rupture(
            method="psq_direct",
            episode=episode,
            therapist=therapist,
            instrument="PSQ",
            onset=sessions[spell.onset],
            baseline=None,
            onset_score=None,
            trough_score=None,
            drop_size=None,
            drop_ratio=None,
            strength="likely"
            if (forms[spell.onset].answer("P_INTENSITY") or 0) >= 3
            else "possible",
            lead_component="none",
            **_course(spell, sessions, episode, settings),
        )
        for spell in spells
    ]


def srs_ruptures(
    episode: Episode, therapist: str | None, points: list[Point],
    overall: dict[str, float | None], settings: Settings,
) -> list[Rupture]:  # fmt: skip
    """D3, srs_concern: a total of 36 or less, or any item below 9 cm.

    Args:
        episode: the episode.
        therapist: of the series.
        points: the valid SRS totals of the series.
        overall: the fourth item, by session key.
        settings: the settings.
    """

    def is_concern(point: Point) -> bool:
        items = [point.subscales.get(part) for part in SUBSCALES]
        items.append(overall.get(point.session.key))
        return le(point.total, 36) or any(
            item is not None and lt(item, 9) for item in items
        )

    spells = walk(
        len(points),
        lambda t, _: Trigger(0.0, 0.0, ()) if is_concern(points[t]) else None,
        lambda t, _: not is_concern(points[t]),
    )
    ruptures = []
    for spell in spells:
        onset = points[spell.onset]
        until = len(points) if spell.repair is None else spell.repair
        parts = {
            part: value
            for part in SUBSCALES
            if (value := onset.subscales.get(part)) is not None
        }
        lowest = min(parts.values(), default=0.0)
        ruptures.append(
            Rupture(
                method="srs_concern",
                episode=episode,
                therapist=therapist,
                instrument=SRS.code,
                onset=onset.session,
                baseline=None,
                onset_score=onset.total,
                trough_score=min(p.total for p in points[spell.onset : until]),
                drop_size=None,
                drop_ratio=None,
                strength="likely" if le(onset.total, 36) else "possible",
                lead_component=next(
                    (part for part, value in parts.items() if le(value, lowest)),
                    "none",
                ),
                **_course(spell, [p.session for p in points], episode, settings),
            )
        )
    return ruptures


def latest_open_rupture(ruptures: list[Rupture], number: int) -> Rupture | None:
    """E: the latest rupture with onset ≤ this session number ≤ repair (or none)."""
    around = [
        rupture
        for rupture in ruptures
        if rupture.onset.number <= number
        and (rupture.repair is None or number <= rupture.repair.number)
    ]
    return max(around, key=lambda rupture: rupture.onset.number, default=None)


def date_of(session: Session | None) -> date | None:
    return session.date if session else None
