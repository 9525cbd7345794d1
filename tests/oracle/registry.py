"""Section A1–A3: the instruments, typed from the page's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oracle.decimals import ge, le, lt
from oracle.settings import Settings


def _range(first: int, last: int, prefix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{n}" for n in range(first, last + 1))


def _ids(text: str) -> tuple[str, ...]:
    return tuple(text.replace(" ", "").split(","))


@dataclass(frozen=True)
class Instrument:
    """One row of A1 or A2.

    Attributes:
        kind: how a scale is made of its items: ``mean`` (WAI), ``mm`` (SRS, ORS: sum
            ÷ 10) or ``sum``.
        max_missing: items that may be missing, by scale.
        total_of: ``items``, or ``subscales`` when the total needs every subscale.
        clinical: the clinical range of the total: (``>=`` or ``<``, cut-off).
        functional: the functional range of the total, likewise.
        unit: u of A1: the native range of the total ÷ 4.
    """

    code: str
    domain: str
    kind: str
    items: tuple[str, ...]
    low: float
    high: float
    total_low: float
    total_high: float
    subscales: dict[str, tuple[str, ...]] = field(default_factory=dict)
    total: tuple[str, ...] = ()
    reversed: frozenset[str] = frozenset()
    max_missing: dict[str, int] = field(default_factory=dict)
    total_of: str = "items"
    raters: tuple[str, ...] = ("client",)
    version: str = "1"
    higher_is_better: bool = False
    clinical: tuple[str, float] | None = None
    functional: tuple[str, float] | None = None
    rc: float | None = None
    rc_subscale: float | None = None
    sd_ref: float = 0.0

    @property
    def unit(self) -> float:
        return (self.total_high - self.total_low) / 4

    @property
    def whole_numbers(self) -> bool:
        return self.kind != "mm"

    def rc_total_of(self, settings: Settings) -> float | None:
        return settings.of_instrument(self.code, "rc", self.rc)

    def rc_subscale_of(self, settings: Settings) -> float | None:
        return settings.of_instrument(self.code, "rc_subscale", self.rc_subscale)

    def is_clinical(self, score: float, settings: Settings) -> bool | None:
        return self._within(self.clinical, "cut", score, settings)

    def is_functional(self, score: float, settings: Settings) -> bool | None:
        return self._within(self.functional, "functional", score, settings)

    def _within(
        self,
        range_: tuple[str, float] | None,
        name: str,
        score: float,
        settings: Settings,
    ) -> bool | None:
        if range_ is None:
            return None
        compare = {">=": ge, "<=": le, "<": lt}[range_[0]]
        return compare(score, settings.of_instrument(self.code, name, range_[1]))


def _wai(code: str, high: float, subscales: dict[str, str], reversed_: str = "",
         **numbers: float) -> Instrument:  # fmt: skip
    return Instrument(
        code,
        "alliance",
        "mean",
        _range(1, 12),
        1,
        high,
        1,
        high,
        {name: _ids(ids) for name, ids in subscales.items()},
        _range(1, 12),
        frozenset(_ids(reversed_)) if reversed_ else frozenset(),
        {"goal": 1, "task": 1, "bond": 1},
        "subscales",
        ("client", "therapist", "observer"),
        higher_is_better=True,
        **numbers,
    )


WAI_SR = _wai(
    "WAI-SR",
    5,
    {"goal": "4,6,8,11", "task": "1,2,10,12", "bond": "3,5,7,9"},
    rc=0.6136,
    rc_subscale=0.9125,
    sd_ref=0.70,
)
WAI_S = _wai(
    "WAI-S",
    7,
    {"goal": "4,6,10,11", "task": "1,2,8,12", "bond": "3,5,7,9"},
    "4,10",
    rc=0.9204,
    rc_subscale=1.36875,
    sd_ref=1.05,
)
SRS = Instrument(
    "SRS",
    "alliance",
    "mm",
    _range(1, 4),
    0,
    100,
    0,
    40,
    {"goal": ("2",), "task": ("3",), "bond": ("1",), "overall": ("4",)},
    _range(1, 4),
    version="3.0",
    higher_is_better=True,
    rc=4.80,
    rc_subscale=1.20,
    sd_ref=5.00,
)

_OQ_IR = _ids("1,7,16,17,18,19,20,26,30,37,43")
_OQ_SR = _ids("4,12,14,21,28,32,38,39,44")
_OQ_SD = tuple(item for item in _range(1, 45) if item not in _OQ_IR + _OQ_SR)


def _sums(
    code: str,
    items: tuple[str, ...],
    high: float,
    missing: int,
    cut: float,
    functional: tuple[str, float],
    rc: float,
    *,
    max_missing: dict[str, int] | None = None,
    **more: Any,
) -> Instrument:
    """An A2 scale whose total is the sum of all its items."""
    return Instrument(
        code,
        "outcome",
        "sum",
        items,
        0,
        high,
        0,
        high * len(items),
        total=items,
        clinical=(">=", cut),
        functional=functional,
        rc=rc,
        max_missing={"total": missing, **(max_missing or {})},
        **more,
    )


# In the order of A2, which breaks ties (G4).
OUTCOMES = (
    _sums(
        "PCL-5",
        _range(1, 20),
        4,
        4,
        33,
        ("<=", 28),
        15,
        subscales={
            "b": _range(1, 5),
            "c": _range(6, 7),
            "d": _range(8, 14),
            "e": _range(15, 20),
        },
        max_missing={"b": 1, "d": 1, "e": 1, "c": 0},
    ),
    _sums("PHQ-9", _range(1, 9), 3, 2, 10, ("<", 10), 6),
    _sums("GAD-7", _range(1, 7), 3, 1, 8, ("<", 8), 4),
    _sums(
        "CORE-10", _range(1, 10), 4, 1, 11, ("<", 11), 6, reversed=frozenset({"2", "3"})
    ),
    _sums(
        "OQ-45",
        _range(1, 45),
        4,
        0,
        64,
        ("<=", 63),
        14,
        subscales={"ir": _OQ_IR, "sr": _OQ_SR, "sd": _OQ_SD},
        max_missing={"sd": 2, "ir": 1, "sr": 1},
        reversed=frozenset(_ids("1,12,13,20,21,24,31,37,43")),
        total_of="subscales",
        version="2",
    ),
    Instrument(
        "ORS",
        "outcome",
        "mm",
        _range(1, 4),
        0,
        100,
        0,
        40,
        total=_range(1, 4),
        higher_is_better=True,
        clinical=("<", 25),
        functional=(">=", 25),
        rc=5,
    ),
    Instrument(
        "ITQ",
        "outcome",
        "sum",
        _range(1, 9, "P") + _range(1, 9, "C"),
        0,
        4,
        0,
        48,
        {"ptsd": _range(1, 6, "P"), "dso": _range(1, 6, "C")},
        _range(1, 6, "P") + _range(1, 6, "C"),
        total_of="subscales",
    ),
)

ALLIANCE = (WAI_SR, WAI_S, SRS)  # in the order that breaks ties (C)
SCALES = {instrument.code: instrument for instrument in (*ALLIANCE, *OUTCOMES)}

# Aliases name the therapist form.
ALIASES = {
    "WAI-SRT": "WAI-SR",
    "WAI-SR-T": "WAI-SR",
    "WAI-ST": "WAI-S",
    "WAI-S-T": "WAI-S",
}


@dataclass(frozen=True)
class Form:
    """One row of A3: raters, and the range of each item."""

    raters: tuple[str, ...]
    items: dict[str, tuple[int, int]]


FORMS = {
    "RAP-T": Form(
        ("therapist",),
        {
            "T_FRUSTRATION": (0, 4),
            "T_EFFORT": (0, 4),
            "T_HELPLESS": (0, 4),
            "T_SELFDOUBT": (0, 4),
            "T_GOALS": (0, 4),
            "T_TENSION": (0, 1),
            "T_INTENSITY": (1, 5),
            "T_RESOLVED": (1, 5),
        },
    ),
    "RAP-S": Form(
        ("therapist",),
        {"S_DESTIGMATIZE": (0, 1), "S_COMPASSION": (0, 1), "S_COCREATE": (0, 1)},
    ),
    "PSQ": Form(
        ("client", "therapist"),
        {"P_TENSION": (0, 1), "P_INTENSITY": (1, 5), "P_RESOLVED": (1, 5)},
    ),
}


def dim_instrument(settings: Settings) -> dict[tuple[str, str, str], dict[str, object]]:
    """A: the scales as ``core.dim_instrument`` publishes them, with a clinic's own RC."""
    return {
        (scale.code, rater, subscale): {
            "version": scale.version,
            "domain": scale.domain,
            "item_list": set(items),
            "n_items": len(items),
            "item_min": scale.low,
            "item_max": scale.high,
            "direction": "higher_better" if scale.higher_is_better else "lower_better",
            "reliable_change": scale.rc_total_of(settings)
            if subscale == "total"
            else scale.rc_subscale_of(settings),
        }
        for scale in SCALES.values()
        for rater in scale.raters
        for subscale, items in [*scale.subscales.items(), ("total", scale.total)]
    }


ITEM_IDS = frozenset(
    [item for scale in SCALES.values() for item in scale.items]
    + [item for form in FORMS.values() for item in form.items]
)


def normalised(written: str) -> str:
    """A: upper case; spaces and ``_`` become ``-``."""
    return written.strip().upper().replace(" ", "-").replace("_", "-")
