"""Section J: every setting of the page, with its default."""

from __future__ import annotations

from typing import Any

METHODS = (
    "default_rc3",
    "adjacent_rci",
    "v_shape_sd",
    "control_chart_l1",
    "control_chart_l2",
    "control_chart_l3",
    "abs_drop",
    "prior_mean_z",
    "gumz_decline",
    "sudden_drop",
    "psq_direct",
    "srs_concern",
)

DEFAULTS: dict[str, Any] = {
    "episodes.gap_days": 90,
    "link.window_days": 3,
    "alliance.primary_instrument": "auto",
    "alliance.band_weak_below": 3.0,
    "alliance.band_strong_from": 4.0,
    "rupture.methods": METHODS,
    "rupture.baseline_scores": 3,
    "rupture.baseline_min": 2,
    "rupture.repair_window": 3,
    "rupture.repair_fraction": 0.5,
    "rupture.likely_ratio": 1.5,
    "markers.item_high": 3,
    "markers.sum_high": 8,
    "markers.tandem_from": 2,
    "markers.persistent_of": 2,
    "markers.persistent_last": 3,
    "congruence.min_pairs": 3,
    "congruence.min_pairs_r": 5,
    "congruence.aligned_below": 0.5,
    "congruence.goal_gap": 1.0,
    "outcomes.recovery_rule": "jacobson_truax",
    "early.sessions": (3, 4, 5, 2, 1),
    "stall.instruments": ("PCL-5",),
    "stall.min_session": 6,
    "stall.window_scores": 4,
    "stall.min_gain": 5,
    "stall.alliance_lookback": 3,
    "stall.review_sessions": 2,
    "dropout.rule": "coded",
    "dropout.inactive_days": 60,
    "signals.missed_in_row": 2,
    "signals.silent_days": 28,
    "signals.booked_days": 14,
    "goals.inconsistent_below": 0.5,
    "qi.small_cell_min": 11,
}


class Settings:
    """The settings of one night; ``said`` holds those that are not at their default."""

    def __init__(self, **said: Any) -> None:
        self._said = {name.replace("__", "."): value for name, value in said.items()}

    @classmethod
    def of(cls, said: dict[str, Any]) -> Settings:
        made = cls()
        made._said = dict(said)
        return made

    def __getitem__(self, name: str) -> Any:
        return self._said.get(name, DEFAULTS[name])

    def of_instrument(self, code: str, name: str, default: float | None) -> Any:
        """Return ``instruments.<code>.<name>``: rc, rc_subscale, cut or functional."""
        return self._said.get(f"instruments.{code}.{name}", default)

    def timezone(self, source: str) -> str:
        return self._said.get(f"source.{source}.timezone", "UTC")
