"""G. Outcomes, early alliance, stalls and dropout."""

from datetime import date, timedelta

import pytest

from spec.conftest import Clinic, Draw, Shown, answers, given


def outcome(shown: Shown, *columns: str) -> tuple:
    (row,) = shown.of(
        f"select {', '.join(columns)} from outcomes.fct_episode_outcome"
        " join core.fct_episode using (episode_key) where client_key = @"
    )
    return row


def stalls(shown: Shown, *columns: str) -> list[tuple]:
    return shown.of(
        f"select {', '.join(columns)} from outcomes.fct_stall"
        " join core.fct_episode using (episode_key) where client_key = @"
        " order by stall_date, instrument"
    )


def together(**drawings: str) -> Draw:
    """Draw several instruments over the same weekly sessions; ``-`` is no form."""

    def draw(clinic: Clinic, client: str) -> None:
        (first, marks), *others = (
            (name.replace("_", "-"), said.split()) for name, said in drawings.items()
        )
        clinic.series(client, " ".join(marks), first)
        sessions = clinic.sessions_of(client)
        for instrument, said in others:
            for session, mark in zip(sessions, said, strict=True):
                if mark == "-":
                    continue
                rater = "therapist" if instrument == "RAP-S" else "client"
                clinic.form(client, instrument, day_of(clinic, session),
                            answers(instrument, mark), rater=rater, session=session)  # fmt: skip

    return draw


def day_of(clinic: Clinic, session: str) -> str:
    row = next(r for r in clinic.sessions if r.startswith(session + ","))
    return row.split(",")[4][:10]


# --- G1 -----------------------------------------------------------------------------


@given("45 30 40", "PCL-5", name="three")
@given("45", "PCL-5", name="one")
@given("20 26", "ORS", name="ors")
def test_change_is_last_minus_first(shown: Shown) -> None:
    """`change` = last − first, null with one score. Gain g = first − last (lower better)
    or last − first."""
    columns = ("first_score", "last_score", "change", "n_scores", "reliable_change")
    assert outcome(shown["three"], *columns) == (45, 40, -5, 3, "no_change")
    assert outcome(shown["one"], *columns) == (45, 45, None, 1, None)
    assert outcome(shown["ors"], *columns) == (20, 26, 6, 2, "improved")


CLASSES = [
    ("PCL-5", "45 30", "improved", "improved"),
    ("PCL-5", "45 28", "improved", "recovered"),
    ("PCL-5", "45 29", "improved", "improved"),
    ("PCL-5", "45 31", "no_change", "unchanged"),
    ("PCL-5", "33 28", "no_change", "unchanged"),
    ("PCL-5", "32 10", "improved", "not_at_risk"),
    ("PCL-5", "33 48", "deteriorated", "deteriorated"),
    ("PCL-5", "33 47", "no_change", "unchanged"),
    ("PCL-5", "20 40", "deteriorated", "deteriorated"),
    ("PCL-5", "45", None, "insufficient"),
    ("PHQ-9", "15 9", "improved", "recovered"),
    ("PHQ-9", "16 10", "improved", "improved"),
    ("PHQ-9", "9 0", "improved", "not_at_risk"),
    ("PHQ-9", "10 4", "improved", "recovered"),
    ("PHQ-9", "10 5", "no_change", "unchanged"),
    ("GAD-7", "11 7", "improved", "recovered"),
    ("GAD-7", "12 8", "improved", "improved"),
    ("GAD-7", "7 3", "improved", "not_at_risk"),
    ("CORE-10", "16 10", "improved", "recovered"),
    ("CORE-10", "17 11", "improved", "improved"),
    ("CORE-10", "10 4", "improved", "not_at_risk"),
    ("OQ-45", "77 63", "improved", "recovered"),
    ("OQ-45", "78 64", "improved", "improved"),
    ("OQ-45", "63 40", "improved", "not_at_risk"),
    ("OQ-45", "64 78", "deteriorated", "deteriorated"),
    ("ORS", "20 25", "improved", "recovered"),
    ("ORS", "19 24", "improved", "improved"),
    ("ORS", "25 31", "improved", "not_at_risk"),
    ("ORS", "24 19", "deteriorated", "deteriorated"),
    ("ORS", "24 28", "no_change", "unchanged"),
    ("ITQ", "40 10", None, "insufficient"),
]


def cases(clinic: Clinic) -> None:
    for instrument, drawing, _, _ in CLASSES:
        clinic.series(f"g1 {instrument} {drawing}", drawing, instrument)


@pytest.mark.parametrize(("instrument", "drawing", "change", "class_"), CLASSES)
def test_the_clinical_class_is_the_first_that_holds(
    night, instrument: str, drawing: str, change: str | None, class_: str
) -> None:
    """`reliable_change`: improved g ≥ RC; deteriorated −g ≥ RC; else no_change; null with
    one score or no RC. `clinical_class`, first that holds: insufficient (n < 2 or no RC or
    no cut-off), deteriorated, not_at_risk (first score not clinical), recovered (improved
    and last in the functional range), improved, unchanged."""
    rows = night.of(
        f"g1 {instrument} {drawing}",
        "select reliable_change, clinical_class from outcomes.fct_episode_outcome"
        " join core.fct_episode using (episode_key) where client_key = @",
    )
    assert rows == [(change, class_)]


def _one_a_day(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-05-01")
    for at, total in (("09:00", 40), ("11:00", 20)):
        clinic.form(client, "PCL-5", f"2026-05-01T{at}", answers("PCL-5", str(total)))
    clinic.form(client, "PCL-5", "2026-05-01T12:00", {"1": 1})
    clinic.form(client, "PCL-5", "2026-05-02T09:00", answers("PCL-5", "10"))


@given(_one_a_day)
def test_one_score_a_day_counts(shown: Shown) -> None:
    """B10: for outcomes one score a day for each episode and instrument: the last of those
    with a valid total. All are published in `fct_measure_score`."""
    assert outcome(shown, "first_score", "last_score", "n_scores") == (20, 10, 2)
    assert shown.of(
        "select count(*) from core.fct_measure_score where client_key = @"
        " and subscale = 'total'"
    ) == [(4,)]


# --- G2 -----------------------------------------------------------------------------


@given(together(WAI_SR="2 2 4 3 5 3", PHQ_9="9 - - - - 9"), name="third")
@given(together(WAI_SR="2 2 - 3 5 4", PHQ_9="9 - - - - 9"), name="fourth")
@given(together(WAI_SR="4 4 - - 2.75 4", PHQ_9="9 - - - - 9"), name="fifth")
@given(together(WAI_SR="4 2 - - -", PHQ_9="9 - - - 9"), name="second")
@given(together(WAI_SR="3.5 - - - -", PHQ_9="9 - - - 9"), name="first")
@given(together(WAI_SR="- - - - - 4", PHQ_9="9 - - - - 9"), name="none")
def test_the_early_alliance_is_that_of_the_third_session_or_near_it(
    shown: Shown,
) -> None:
    """Early alliance: client total of the primary instrument at session 3, else 4, 5, 2,
    1: first that is valid; band as in C. Null if none of the five."""
    columns = ("early_alliance", "early_alliance_session", "early_alliance_band")
    said = {
        name: outcome(shown[name], *columns)
        for name in ("third", "fourth", "fifth", "second", "first", "none")
    }
    assert said == {
        "third": (4.0, 3, "strong"),
        "fourth": (3.0, 4, "moderate"),
        "fifth": (2.75, 5, "weak"),
        "second": (2.0, 2, "weak"),
        "first": (3.5, 1, "moderate"),
        "none": (None, None, None),
    }


@given(together(SRS="40 40 34 36", WAI_SR="- - 4 -", PHQ_9="9 - 8 -", GAD_7="- 7 - -"))
def test_the_early_alliance_is_the_same_on_every_row(shown: Shown) -> None:
    """Same on every row of the episode; the primary instrument is that with most sessions
    with a valid client total. SRS: weak ≤ 34."""
    assert shown.of(
        "select instrument, early_alliance, early_alliance_band"
        " from outcomes.fct_episode_outcome join core.fct_episode using (episode_key)"
        " where client_key = @ order by 1"
    ) == [("GAD-7", 34.0, "weak"), ("PHQ-9", 34.0, "weak")]


# --- G3 -----------------------------------------------------------------------------


@given("60 60 60 60 60 60", "PCL-5", name="still")
@given("60 59 58 56 55 54", "PCL-5", name="four_points")
@given("60 59 58 56 55 53 51 48", "PCL-5", name="five_points")
@given("60 60 60 60 60", "PCL-5", name="session_five")
@given("33 33 33 33 33 33", "PCL-5", name="clinical")
@given("32 32 32 32 32 32", "PCL-5", name="not_clinical")
@given("- - - 60 60 60", "PCL-5", name="three_scores")
@given("- - - 60 60 60 60", "PCL-5", name="four_scores")
@given("40 40 40 50 50 50", "PCL-5", name="worse")
@given("15 15 15 15 15 15", "PHQ-9", name="other_instrument")
def test_a_stall_needs_all_three(shown: Shown) -> None:
    """Stalled when (1) session number ≥ 6; (2) at least K = 4 scores exist in the current
    stretch, and x₍ᵢ₋₃₎ − xᵢ < 5; (3) xᵢ is clinical (≥ 33). `stall.instruments` =
    PCL-5."""
    said = {
        name: [number for (number,) in stalls(shown[name], "stall_session_number")]
        for name in (
            "still", "four_points", "five_points", "session_five", "clinical",
            "not_clinical", "three_scores", "four_scores", "worse", "other_instrument",
        )
    }  # fmt: skip
    assert said == {
        "still": [6],
        "four_points": [6],
        "five_points": [],
        "session_five": [],
        "clinical": [6],
        "not_clinical": [],
        "three_scores": [],
        "four_scores": [7],
        "worse": [6],
        "other_instrument": [],
    }


@given("60 60 60 60 60 60 46 45", "PCL-5", name="by_gain")
@given("40 40 40 40 40 40 33 32", "PCL-5", name="not_clinical")
@given("60 60 60 60 60 60 46", "PCL-5", name="open")
@given("60 60 60 60 60 60 46", "PCL-5", name="closed", closed=True)
@given("60 60 60 60 60 60 45", "PCL-5", name="resumed_closed", closed=True)
def test_a_stall_ends_by_a_reliable_gain_or_below_the_cut(shown: Shown) -> None:
    """Resumed at the first later score with gain from the stall score ≥ RC (15), or not
    clinical. Status: resumed; else closed when the episode is closed; else open."""
    columns = ("status", "resumed_session_number")
    assert stalls(shown["by_gain"], *columns) == [("resumed", 8)]
    assert stalls(shown["not_clinical"], *columns) == [("resumed", 8)]
    assert stalls(shown["open"], *columns) == [("open", None)]
    assert stalls(shown["closed"], *columns) == [("closed", None)]
    assert stalls(shown["resumed_closed"], *columns) == [("resumed", 7)]


@given("60 60 60 60 60 60 45 45 45", "PCL-5", name="three")
@given("60 60 60 60 60 60 45 45 45 45", "PCL-5", name="four")
def test_the_score_that_ends_a_spell_begins_a_stretch(shown: Shown) -> None:
    """A stretch begins at the first score of the episode or at the score that ended the
    last spell."""
    assert stalls(shown["three"], "stall_session_number", "status") == [(6, "resumed")]
    assert stalls(shown["four"], "stall_session_number", "status") == [
        (6, "resumed"),
        (10, "open"),
    ]


def _between_sessions(clinic: Clinic, client: str) -> None:
    for n in range(6):
        clinic.session(client, str(date(2026, 1, 1) + timedelta(weeks=2 * n)))
    for days in (-7, 7, 21, 77):
        day = str(date(2026, 1, 1) + timedelta(days=days))
        clinic.form(client, "PCL-5", day, answers("PCL-5", "50"))


@given(_between_sessions)
def test_a_score_without_a_session_takes_the_last_attended(shown: Shown) -> None:
    """Each has a session number: its session's, else the number of the last attended
    session on or before its date (0 if none)."""
    assert (
        shown.of(
            "select session_number from core.fct_measure_score where client_key = @"
            " and subscale = 'total'"
        )
        == [(None,)] * 4
    )
    assert stalls(shown, "stall_session_number", "stall_date::varchar") == [
        (6, "2026-03-19")
    ]


SIX = "60 60 60 60 60 60"


@given(together(WAI_SR="- - - - - 4/3/3.5", PCL_5=SIX), name="lowest")
@given(together(WAI_SR="- - - - - 3/3/3", PCL_5=SIX), name="tie")
@given(together(WAI_SR="- - - - - 4/3/3", PCL_5=SIX), name="task_and_bond")
@given(together(WAI_SR="- - 4/4/3 - - -", PCL_5=SIX), name="three_back")
@given(together(WAI_SR="- 4/4/3 - - - -", PCL_5=SIX), name="four_back")
@given(together(WAI_SR="4 4 4 4/4/3 =4 -", PCL_5=SIX), name="no_parts")
@given(together(SRS="- - - - - 9/8/7/9", PCL_5=SIX), name="srs")
def test_the_weak_component_is_the_lowest_within_its_range(shown: Shown) -> None:
    """`weak_component`: take the last session, of those numbered stall − 3 to stall, whose
    row of the primary instrument has client goal, task and bond, all three; the first of
    goal, task, bond whose share is the lowest; `none` without such a session."""
    said = {
        name: stalls(shown[name], "weak_component")[0][0]
        for name in ("lowest", "tie", "task_and_bond", "three_back", "four_back",
                     "no_parts", "srs")
    }  # fmt: skip
    assert said == {
        "lowest": "task",
        "tie": "goal",
        "task_and_bond": "task",
        "three_back": "bond",
        "four_back": "none",
        "no_parts": "bond",
        "srs": "bond",
    }


@given(together(PCL_5=f"{SIX} - -", SRS="- - - - - 36 - 36"), name="alliance")
@given(together(PCL_5=f"{SIX} - -", RAP_S="- - - - - - 1:0:0 -"), name="work")
@given(together(PCL_5=f"{SIX} - - -", SRS="- - - - - 36 - - 36"), name="too_late")
@given(together(PCL_5=f"{SIX} -", SRS="36 - - - - 36 -"), name="waiting")
@given(f"{SIX} -", "PCL-5", name="closed", closed=True)
def test_a_review_is_looked_for_in_the_next_two_sessions(shown: Shown) -> None:
    """`alliance_reviewed`: true when one of the next 2 attended sessions carries a valid
    client alliance total (any instrument) or strengthening work; null when not, fewer than
    2 have happened, and the episode is open; else false."""
    said = {
        name: stalls(shown[name], "alliance_reviewed", "review_session_number")[0]
        for name in ("alliance", "work", "too_late", "waiting", "closed")
    }
    assert said == {
        "alliance": (True, 8),
        "work": (True, 7),
        "too_late": (False, None),
        "waiting": (None, None),
        "closed": (False, None),
    }


# --- G4 -----------------------------------------------------------------------------


def _closed(reason: str) -> Draw:
    def draw(clinic: Clinic, client: str) -> None:
        clinic.episode(client, "2026-01-01", "2026-03-01", reason)
        clinic.session(client, "2026-02-01")

    return draw


REASONS = {
    "dropped_out": True,
    "completed": False,
    "referred": False,
    "transferred": False,
    "deceased": False,
    "declined": None,
    "other": None,
    "": None,
}


@given(_closed("dropped_out"), name="dropped_out")
@given(_closed("completed"), name="completed")
@given(_closed("referred"), name="referred")
@given(_closed("transferred"), name="transferred")
@given(_closed("deceased"), name="deceased")
@given(_closed("declined"), name="declined")
@given(_closed("other"), name="other")
@given(_closed(""), name="")
def test_dropout_is_as_coded(shown: Shown) -> None:
    """`coded` (default): dropped_out → true; completed, referred, transferred, deceased →
    false; declined, other, none → null. The name is published in `dropout_rule`."""
    for reason, expected in REASONS.items():
        assert shown[reason].of(
            "select dropout, dropout_rule from core.fct_episode where client_key = @"
        ) == [(expected, "coded")], reason
