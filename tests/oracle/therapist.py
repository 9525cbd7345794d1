"""Section E: therapist markers and strengthening work."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.ruptures import Rupture, latest_open_rupture
from oracle.scoring import Administration
from oracle.sessions import Session
from oracle.settings import Settings

MARKERS = {
    "frustration": "T_FRUSTRATION",
    "effort": "T_EFFORT",
    "helpless": "T_HELPLESS",
    "self_doubt": "T_SELFDOUBT",
    "goals_inconsistent": "T_GOALS",
}
WORK = {
    "destigmatize": "S_DESTIGMATIZE",
    "compassion": "S_COMPASSION",
    "co_create": "S_COCREATE",
}


@dataclass
class Marker:
    """One row of ``fct_therapist_marker``."""

    session: Session
    answers: dict[str, int | None]
    strain_sum: int | None
    is_strained: bool | None
    in_tandem: bool
    is_persistent: bool = False


def markers_of(forms: list[Administration], settings: Settings) -> list[Marker]:
    """E: markers of the used RAP-T forms of one episode, in session-number order."""
    rows = []
    for form in sorted(forms, key=lambda form: form.session.number):
        answers = {name: form.answer(item) for name, item in MARKERS.items()}
        if any(answer is not None for answer in answers.values()):
            rows.append(_marker(form.session, answers, settings))
    for place, row in enumerate(rows):
        last = rows[max(0, place + 1 - settings["markers.persistent_last"]) : place + 1]
        n_strained = sum(one.is_strained is True for one in last)
        row.is_persistent = n_strained >= settings["markers.persistent_of"]
    return rows


def _marker(
    session: Session, answers: dict[str, int | None], settings: Settings
) -> Marker:
    given = [answer for answer in answers.values() if answer is not None]
    is_complete = len(given) == len(answers)
    is_strained: bool | None = False if is_complete else None
    if max(given) >= settings["markers.item_high"]:
        is_strained = True
    if sum(given) >= settings["markers.sum_high"]:
        is_strained = True

    def reached(name: str) -> bool:
        return (answers[name] or 0) >= settings["markers.tandem_from"]

    return Marker(
        session,
        answers,
        sum(given) if is_complete else None,
        is_strained,
        in_tandem=(reached("frustration") or reached("effort"))
        and (reached("helpless") or reached("self_doubt")),
    )


@dataclass(frozen=True)
class Strengthening:
    """One row of ``fct_strengthening``."""

    session: Session
    work: dict[str, bool]
    after_rupture: Rupture | None
    repaired_after: bool | None


def strengthening(
    form: Administration, ruptures: list[Rupture]
) -> Strengthening | None:
    """E: work that a used RAP-S form reports.

    Args:
        form: the used form of a session.
        ruptures: ``default_rc3`` on the primary instrument of the session's episode.
    """
    work = {name: form.answer(item) == 1 for name, item in WORK.items()}
    if not any(work.values()):
        return None
    rupture = latest_open_rupture(ruptures, form.session.number)
    repaired: bool | None = None
    if rupture is not None and rupture.status != "pending":
        repaired = rupture.status in ("resolved", "late_repair")
    return Strengthening(form.session, work, rupture, repaired)
