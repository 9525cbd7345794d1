"""Section A4: scoring one administration, in the page's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from oracle import registry
from oracle.decimals import EPS, ge, le, mean
from oracle.registry import FORMS, SCALES, Instrument

Items = Mapping[str, float | None]


@dataclass
class Administration:
    """One live form: what it is, when, of whom; filled in as the page goes on."""

    key: str
    client: str
    therapist: str | None
    named_session: str | None
    code: str  # canonical code, of an unknown instrument "unknown"
    is_alias: bool
    version: str | None
    rater: str
    administered_at: datetime
    date: date
    updated_at: datetime | None
    total_reported: float | None
    items: Items
    scores: dict[str, Score] = field(default_factory=dict)
    session: object | None = None
    episode: object | None = None

    @property
    def is_outcome_scale(self) -> bool:
        scale = SCALES.get(self.code)
        return scale is not None and scale.domain == "outcome"

    @property
    def has_wrong_rater(self) -> bool:
        """A4 1: a rater that the table does not name, or an alias that contradicts it."""
        if self.code in FORMS:
            return self.rater not in FORMS[self.code].raters
        if self.code == "unknown":
            return False
        if self.is_alias:
            return self.rater != "therapist"
        return self.rater not in SCALES[self.code].raters

    def valid(self, subscale: str = "total") -> float | None:
        """The valid score of a (sub)scale, else null."""
        found = self.scores.get(subscale)
        return found.score if found else None

    def answer(self, item: str) -> int | None:
        """A3: the answer to an item of a form that is no scale."""
        low, high = FORMS[self.code].items[item]
        value = answered(self.items.get(item), low, high, whole=True)
        return None if value is None else round(value)


@dataclass(frozen=True)
class Score:
    """One row of ``fct_measure_score``: a score, or why there is none."""

    score: float | None
    n_answered: int
    n_items: int | None
    origin: str | None
    invalid_reason: str | None = None


def instrument_of(written: str) -> tuple[str, bool]:
    """A: canonical code (``unknown`` outside the registry), and whether it was an alias."""
    code = registry.normalised(written)
    if code in registry.ALIASES:
        return registry.ALIASES[code], True
    return (code, False) if code in SCALES or code in FORMS else ("unknown", False)


def default_version(code: str, said: str | None) -> str | None:
    """A: ``version`` passes through; when null it takes the registry's default."""
    if said is not None or code == "unknown":
        return said
    return SCALES[code].version if code in SCALES else "1"


def score(form: Administration) -> dict[str, Score]:
    """A4: subscale -> score; nothing for an A3 form."""
    if form.code == "unknown":
        return {"total": Score(None, 0, None, None, "unknown_instrument")}
    if form.code in FORMS:
        return {}
    if form.has_wrong_rater:
        return {"total": Score(None, 0, None, None, "wrong_rater")}
    scale = SCALES[form.code]
    given = {
        item: value
        for item in scale.items
        if (value := _answer_of(scale, form.items.get(item))) is not None
    }
    if not any(item in given for item in scale.total):
        return {"total": _without_items(scale, form.total_reported)}
    scores = _from_items(scale, given)
    if _is_ten_item_form(form, given):
        scores = {
            name: Score(None, s.n_answered, s.n_items, s.origin, "form_mismatch")
            for name, s in scores.items()
        }
    return scores


def answered(
    value: float | None, low: float, high: float, *, whole: bool
) -> float | None:
    """A4 2: a number in range and, unless in millimetres, an integer (within EPS)."""
    if value is None or not (ge(value, low) and le(value, high)):
        return None
    if whole and abs(value - round(value)) > EPS:
        return None
    return value


def _answer_of(scale: Instrument, value: float | None) -> float | None:
    return answered(value, scale.low, scale.high, whole=scale.whole_numbers)


def _is_ten_item_form(form: Administration, given: Items) -> bool:
    """A1: the ten-item WAI-SRT numbers its items differently and is never scored."""
    is_therapist = form.code == "WAI-SR" and form.rater == "therapist"
    return is_therapist and set(given) == {str(n) for n in range(1, 11)}


def _from_items(scale: Instrument, given: dict[str, float]) -> dict[str, Score]:
    """A4 3: a row for each subscale and one for the total."""
    turned = {
        item: scale.low + scale.high - value if item in scale.reversed else value
        for item, value in given.items()
    }
    scores = {
        name: _scale_score(scale, items, turned, scale.max_missing.get(name, 0))
        for name, items in scale.subscales.items()
    }
    scores["total"] = (
        _total_of_subscales(scale, scores, turned)
        if scale.total_of == "subscales"
        else _scale_score(scale, scale.total, turned, scale.max_missing.get("total", 0))
    )
    return scores


def _scale_score(
    scale: Instrument, items: tuple[str, ...], turned: Items, max_missing: int
) -> Score:
    values = [turned[item] for item in items if item in turned]
    origin = "items" if len(values) == len(items) else "prorated"
    if len(items) - len(values) > max_missing:
        return Score(None, len(values), len(items), origin, "too_many_missing")
    middle = mean(values)
    made = {
        "mean": middle,
        "sum": middle * len(items),
        "mm": middle * len(items) / 10,
    }[scale.kind]
    return Score(made, len(values), len(items), origin)


def _total_of_subscales(
    scale: Instrument, scores: dict[str, Score], turned: Items
) -> Score:
    """WAI: mean of the three; OQ-45 and ITQ: their sum; every one must be valid."""
    n_items = len(scale.total)
    n_answered = sum(item in turned for item in scale.total)
    origin = "items" if n_answered == n_items else "prorated"
    parts = [s.score for s in scores.values() if s.score is not None]
    if len(parts) < len(scale.subscales):
        return Score(None, n_answered, n_items, origin, "subscale_invalid")
    made = mean(parts) if scale.kind == "mean" else sum(parts)
    return Score(made, n_answered, n_items, origin)


def _without_items(scale: Instrument, reported: float | None) -> Score:
    """A4 4: a reported total stands only where no scored item is answered."""
    n_items = len(scale.total)
    if reported is None:
        return Score(None, 0, n_items, "items", "no_items")
    total: float | None = None
    if ge(reported, scale.total_low) and le(reported, scale.total_high):
        total = reported
    elif scale.kind == "mean":
        as_mean = reported / n_items
        in_sum_range = ge(reported, scale.total_low * n_items) and le(
            reported, scale.total_high * n_items
        )
        total = as_mean if in_sum_range else None
    reason = "reported_out_of_range" if total is None else None
    return Score(total, 0, n_items, "reported", reason)
