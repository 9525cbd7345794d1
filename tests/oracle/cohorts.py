"""Section H: cohorts by rupture pattern, and the course by session."""

from __future__ import annotations

from typing import Any

from oracle.alliance import COMPONENTS, AllianceSession
from oracle.decimals import mean, median, sample_sd
from oracle.ruptures import MINIMUM, Rupture
from oracle.settings import Settings

_LAST_SESSION = 26


def pattern(method: str, series_lengths: list[int], ruptures: list[Rupture]) -> str:
    """H: the first that holds."""
    statuses = {rupture.status for rupture in ruptures}
    if not any(n >= MINIMUM[method] for n in series_lengths):
        return "insufficient"
    if not statuses:
        return "no_rupture"
    if statuses & {"unresolved", "unresolved_at_close"}:
        return "unrepaired"
    return "pending" if "pending" in statuses else "repaired"


def cohort_row(
    method: str, instrument: str | None, series_lengths: list[int],
    ruptures: list[Rupture],
) -> dict[str, Any]:  # fmt: skip
    """One row of ``rupture_cohort``, for the ruptures of its instrument."""
    first = min(ruptures, key=lambda rupture: rupture.onset.number, default=None)
    return {
        "instrument": instrument,
        "pattern": pattern(method, series_lengths, ruptures),
        "n_ruptures": len(ruptures),
        "n_repaired": sum(rupture.repair is not None for rupture in ruptures),
        "first_rupture_session": first.onset.number if first else None,
        "lead_component": first.lead_component if first else None,
        "n_scores": sum(series_lengths),
    }


def trajectory(
    rows: list[AllianceSession], settings: Settings
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """H: n, mean, spread and median by session number, small cells suppressed."""
    cells: dict[tuple[Any, ...], list[tuple[str, str, float]]] = {}
    for row in rows:
        episode, number = row.session.episode, row.session.number
        if episode is None or number is None or number > _LAST_SESSION:
            continue
        for part in COMPONENTS:
            score = row.client[part]
            if score is not None:
                trauma = {True: "true", False: "false", None: "unknown"}
                place = (
                    trauma[episode.trauma_focused],
                    row.instrument.code,
                    part,
                    number,
                )
                found = (episode.key, episode.client, score)
                cells.setdefault(place, []).append(found)
    return {place: _cell(found, settings) for place, found in cells.items()}


def _cell(found: list[tuple[str, str, float]], settings: Settings) -> dict[str, Any]:
    n_episodes = len({episode for episode, _, _ in found})
    n_clients = len({client for _, client, _ in found})
    scores = [score for _, _, score in found]
    if min(n_episodes, n_clients) < settings["qi.small_cell_min"]:
        return {
            "n_episodes": None,
            "mean_score": None,
            "sd_score": None,
            "median_score": None,
            "suppressed": True,
        }
    return {
        "n_episodes": n_episodes,
        "mean_score": mean(scores),
        "sd_score": sample_sd(scores),
        "median_score": median(scores),
        "suppressed": False,
    }
