"""I. Care signals: what opens them, what closes them, and when they end."""

import json
import re
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from spec.conftest import LAST_SESSION, Clinic, Draw, Night, Shown, answers, given

Signal = tuple[str, str | None, str | None]
STEADY = "4.25 4.25 4.25"


def day(session: int, of: int) -> str:
    """Return the date of a session of a drawn series of so many."""
    return str(LAST_SESSION - timedelta(weeks=of - session))


def signals(shown: Shown, signal: str) -> list[Signal]:
    """Return (opened, closed, reason) of the client's signals of one kind."""
    return shown.of(
        "select opened_on::varchar, closed_on::varchar, closed_reason"
        f" from outcomes.fct_care_signal where client_key = @ and signal = '{signal}'"
        " order by instrument, opened_on"
    )


# --- rupture and rupture_unrepaired ---------------------------------------------------


@given(f"{STEADY} 3")
def test_a_rupture_opens_at_its_onset(shown: Shown) -> None:
    """`rupture` opens at the onset of each `default_rc3` rupture, primary instrument."""
    assert signals(shown, "rupture") == [(day(4, 4), None, None)]
    assert signals(shown, "rupture_unrepaired") == []


@given(f"{STEADY} 3 3 3 4.25")
def test_a_repair_within_three_scores_closes_it(shown: Shown) -> None:
    """`rupture` closes at a repair within 3 scores (`repaired`); then none escalates."""
    assert signals(shown, "rupture") == [(day(4, 7), day(7, 7), "repaired")]
    assert signals(shown, "rupture_unrepaired") == []


@given(f"{STEADY} 3 3 3 3")
def test_the_third_further_score_without_repair_escalates_it(shown: Shown) -> None:
    """The third further score without repair closes `rupture` (`escalated`) and opens
    `rupture_unrepaired`."""
    assert signals(shown, "rupture") == [(day(4, 7), day(7, 7), "escalated")]
    assert signals(shown, "rupture_unrepaired") == [(day(7, 7), None, None)]


@given(f"{STEADY} 3 3 3 3 3 4.25")
def test_a_late_repair_closes_rupture_unrepaired(shown: Shown) -> None:
    """`rupture_unrepaired` closes at the late repair (`repaired`)."""
    assert signals(shown, "rupture_unrepaired") == [(day(7, 9), day(9, 9), "repaired")]


@given(f"{STEADY} 3 4@T2 4@T2")
def test_two_sessions_with_another_therapist_close_it(shown: Shown) -> None:
    """The second of two consecutive attended sessions after the opening one."""
    assert signals(shown, "rupture") == [(day(4, 6), day(6, 6), "therapist_changed")]


@given(f"{STEADY} 3 -@T2 3 -@T2")
def test_one_covering_session_at_a_time_closes_nothing(shown: Shown) -> None:
    """`therapist_changed` needs two consecutive attended sessions of the episode."""
    assert signals(shown, "rupture") == [(day(4, 7), None, None)]


@given(f"{STEADY} -@T2 3 -@T2")
def test_sessions_before_the_opening_one_do_not_count(shown: Shown) -> None:
    """`therapist_changed`: both sessions come after the opening one."""
    assert signals(shown, "rupture") == [(day(5, 6), None, None)]


@given(f"{STEADY} 3 -@T2 -@T2 4.25")
def test_a_change_of_therapist_before_the_repair_comes_first(shown: Shown) -> None:
    """The rupture's own status stays as D says."""
    assert signals(shown, "rupture") == [(day(4, 7), day(6, 7), "therapist_changed")]
    assert shown.ruptures("default_rc3", "status") == [("resolved",)]


@given(f"{STEADY} 3 4.25 -@T2 -@T2")
def test_a_repair_before_a_change_of_therapist_comes_first(shown: Shown) -> None:
    """`therapist_changed` counts before either of the other two only."""
    assert signals(shown, "rupture") == [(day(4, 7), day(5, 7), "repaired")]


@given(f"{STEADY} 3 -@T2 -@T2 3 3 3")
def test_rupture_unrepaired_opens_whatever_closed_rupture(shown: Shown) -> None:
    """`rupture_unrepaired` opens at that third further score, whatever closed `rupture`."""
    assert signals(shown, "rupture") == [(day(4, 9), day(6, 9), "therapist_changed")]
    assert signals(shown, "rupture_unrepaired") == [(day(9, 9), None, None)]


@given(f"{STEADY} 3 3 3 3 -@T2 -@T2 4.25")
def test_a_change_of_therapist_closes_rupture_unrepaired(shown: Shown) -> None:
    """`rupture_unrepaired` closes by `therapist_changed` likewise."""
    assert signals(shown, "rupture_unrepaired") == [
        (day(7, 10), day(9, 10), "therapist_changed")
    ]


@given(f"{STEADY} 3 -@T2 -@T2 -@T2 -@T2 -@T2 3 3 3")
def test_the_therapist_of_a_rupture_is_that_of_its_series(shown: Shown) -> None:
    """`therapist_key` is the episode's; of the two rupture signals it is the series'."""
    rows = shown.of(
        "select signal, signals.therapist_key = episodes.therapist_key, (select"
        " count(*) from core.fct_session as s where s.client_key = @ and s.therapist_key"
        " = signals.therapist_key and session_number = 4)"
        " from outcomes.fct_care_signal as signals join core.fct_episode as episodes"
        " using (episode_key) where episodes.client_key = @ order by 1"
    )
    assert rows == [("rupture", True, 1), ("rupture_unrepaired", True, 1)]


@given(f"{STEADY} 3 4@T2 4@T2 4@T2 4@T2 4@T2")
def test_the_therapist_of_a_rupture_may_not_be_the_episodes(shown: Shown) -> None:
    """Of the two rupture signals `therapist_key` is the series', here not the episode's."""
    rows = shown.of(
        "select signals.therapist_key = episodes.therapist_key from"
        " outcomes.fct_care_signal as signals join core.fct_episode as episodes"
        " using (episode_key) where episodes.client_key = @"
    )
    assert rows == [(False,)]


def _two_instruments(clinic: Clinic, client: str) -> None:
    """Five WAI-SR, so the primary; four SRS, with a rupture of their own."""
    for n in range(5):
        when = day(n + 1, 5)
        session = clinic.session(client, when)
        clinic.form(client, "WAI-SR", when, answers("WAI-SR", "4"), session=session)
        if n < 4:
            clinic.form(client, "SRS", when, {}, session=session,
                        total="30" if n == 3 else "38")  # fmt: skip


@given(_two_instruments)
def test_only_the_primary_instrument_opens_signals(shown: Shown) -> None:
    """The rupture of the other instrument is published all the same."""
    assert [row[0] for row in shown.ruptures("default_rc3", "instrument")] == ["SRS"]
    assert signals(shown, "rupture") == []


@given("4.25 4.25 4.25 3.50 4.00")
def test_evidence_is_method_session_numbers_and_ratios(shown: Shown) -> None:
    """`evidence` is a small JSON of method, session numbers and ratios."""
    ((evidence,),) = shown.of(
        "select evidence from outcomes.fct_care_signal where client_key = @"
    )
    assert json.loads(evidence) == {
        "method": "default_rc3", "onset_session": 4, "drop_ratio": 1.222,
    }  # fmt: skip


# --- the end of an episode ------------------------------------------------------------


@given(f"{STEADY} 3", closed=True)
def test_an_open_signal_closes_with_its_reported_episode(shown: Shown) -> None:
    """Whatever is open at an episode's end closes there (`episode_closed`): `closed_on` of
    a reported episode."""
    assert signals(shown, "rupture") == [(day(4, 4), "2026-06-25", "episode_closed")]


def _derived(clinic: Clinic, client: str) -> None:
    for n, total in enumerate((4.25, 4.25, 4.25, 3)):
        when = str(date(2026, 1, 5) + timedelta(weeks=n))
        session = clinic.session(client, when)
        mark = answers("WAI-SR", str(total))
        clinic.form(client, "WAI-SR", when, mark, session=session)


@given(_derived)
def test_a_derived_episode_ends_when_its_gap_is_passed(shown: Shown) -> None:
    """Last attended date + `episodes.gap_days` + 1, not its back-dated `closed_on`:
    2026-01-26 + 90 + 1."""
    assert shown.of(
        "select closed_on::varchar from core.fct_episode where client_key = @"
    ) == [("2026-01-26",)]
    assert signals(shown, "rupture") == [("2026-01-26", "2026-04-27", "episode_closed")]


def _open_at_as_of(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01", name=f"{client}-e")
    _derived(clinic, client)


@given(_open_at_as_of)
def test_a_reported_episode_is_not_ended_by_its_gap(shown: Shown) -> None:
    """Reported episodes are never closed by inactivity, nor are their signals."""
    assert signals(shown, "rupture") == [("2026-01-26", None, None)]


def _after_the_end(clinic: Clinic, client: str) -> None:
    episode = clinic.episode(client, "2026-01-01", "2026-01-25", "completed")
    for n, total in enumerate((4.25, 4.25, 4.25, 3)):
        when = str(date(2026, 1, 5) + timedelta(weeks=n))
        session = clinic.session(client, when, episode=episode)
        mark = answers("WAI-SR", str(total))
        clinic.form(client, "WAI-SR", when, mark, session=session)


@given(_after_the_end)
def test_nothing_opens_after_an_episodes_end(shown: Shown) -> None:
    """The rupture is published: only the signal is not."""
    assert shown.ruptures("default_rc3", "onset_date::varchar") == [("2026-01-26",)]
    assert signals(shown, "rupture") == []


def _closing_around_the_end(end: str) -> Draw:
    def draw(clinic: Clinic, client: str) -> None:
        episode = clinic.episode(client, "2026-01-01", end, "completed")
        for n, total in enumerate((4.25, 4.25, 4.25, 3, 4.25)):
            when = str(date(2026, 1, 5) + timedelta(weeks=n))
            session = clinic.session(client, when, episode=episode)
            mark = answers("WAI-SR", str(total))
            clinic.form(client, "WAI-SR", when, mark, session=session)

    return draw


@given(_closing_around_the_end("2026-02-02"))
def test_what_closes_on_the_last_day_keeps_its_reason(shown: Shown) -> None:
    """Only what would close *later* than the end closes as `episode_closed`."""
    assert signals(shown, "rupture") == [("2026-01-26", "2026-02-02", "repaired")]


@given(_closing_around_the_end("2026-02-01"))
def test_what_would_close_later_closes_at_the_end(shown: Shown) -> None:
    """Whatever would close later closes at the end (`episode_closed`)."""
    assert signals(shown, "rupture") == [("2026-01-26", "2026-02-01", "episode_closed")]


@given(_closing_around_the_end("2026-01-26"))
def test_what_opens_on_the_last_day_opens_and_closes(shown: Shown) -> None:
    """Nothing opens *after* the end; on its day it does, and closes there."""
    assert signals(shown, "rupture") == [("2026-01-26", "2026-01-26", "episode_closed")]


# --- stall_return_to_alliance ---------------------------------------------------------


def _stalled(*after: str) -> Draw:
    """Six weekly sessions with a PCL-5 of 50 each, so stalled at the sixth; then marks.

    A mark is a session: ``w`` with an alliance form, ``s`` with strengthening work, ``-``
    with nothing, a number with a PCL-5; ``20w`` has both.
    """

    def draw(clinic: Clinic, client: str) -> None:
        n_sessions = 6 + len(after)
        for n, mark in enumerate(["50"] * 6 + list(after)):
            when = day(n + 1, n_sessions)
            session = clinic.session(client, when)
            if score := re.match(r"\d+", mark):
                clinic.form(client, "PCL-5", when, {}, session=session, total=score[0])
            if "w" in mark:
                form = answers("WAI-SR", "4")
                clinic.form(client, "WAI-SR", when, form, session=session)
            if "s" in mark:
                clinic.form(client, "RAP-S", when, {"S_COCREATE": 1}, session=session,
                            rater="therapist")  # fmt: skip

    return draw


@given(_stalled("-"))
def test_a_stall_opens_a_return_to_the_alliance(shown: Shown) -> None:
    """`stall_return_to_alliance` opens on the stall date; `instrument` is the scored one."""
    assert signals(shown, "stall_return_to_alliance") == [(day(6, 7), None, None)]
    assert shown.of("select instrument from outcomes.fct_care_signal where client_key = @"
                    ) == [("PCL-5",)]  # fmt: skip


@given(_stalled("-", "w"))
def test_an_alliance_form_in_the_next_two_sessions_reviews_it(shown: Shown) -> None:
    """It closes at the review session of G3 (`reviewed`): a client alliance total."""
    assert signals(shown, "stall_return_to_alliance") == [
        (day(6, 8), day(8, 8), "reviewed")
    ]


@given(_stalled("s", "-"))
def test_strengthening_work_reviews_it(shown: Shown) -> None:
    """It closes at the review session of G3 (`reviewed`): strengthening work."""
    assert signals(shown, "stall_return_to_alliance") == [
        (day(6, 8), day(7, 8), "reviewed")
    ]


@given(_stalled("-", "-", "w"))
def test_a_third_session_does_not_review_it(shown: Shown) -> None:
    """G3 looks at the next 2 attended sessions."""
    assert signals(shown, "stall_return_to_alliance") == [(day(6, 9), None, None)]


@given(_stalled("-", "-", "-", "20"))
def test_a_gain_resumes_it(shown: Shown) -> None:
    """It closes at the resumption (`resumed`), on the form's date."""
    assert signals(shown, "stall_return_to_alliance") == [
        (day(6, 10), day(10, 10), "resumed")
    ]


@given(_stalled("20", "w"))
def test_a_resumption_before_the_review_comes_first(shown: Shown) -> None:
    """First of: review session, resumption."""
    assert signals(shown, "stall_return_to_alliance") == [
        (day(6, 8), day(7, 8), "resumed")
    ]


@given(_stalled("20w"))
def test_both_on_one_date_is_reviewed(shown: Shown) -> None:
    """Both on one date: `reviewed`."""
    assert signals(shown, "stall_return_to_alliance") == [
        (day(6, 7), day(7, 7), "reviewed")
    ]


# --- therapist_strain -----------------------------------------------------------------


def _forms(drawing: str) -> Draw:
    """Weekly sessions with a therapist form: S strained, r not strained, ? unknown."""
    items = ("T_FRUSTRATION", "T_EFFORT", "T_HELPLESS", "T_SELFDOUBT", "T_GOALS")

    def draw(clinic: Clinic, client: str) -> None:
        marks = drawing.split()
        for n, mark in enumerate(marks):
            when = day(n + 1, len(marks))
            session = clinic.session(client, when)
            values: dict[str, object] = dict.fromkeys(items, 0)
            if mark == "S":
                values["T_FRUSTRATION"] = 3
            if mark == "?":
                values.pop("T_GOALS")
            if mark != "-":
                clinic.form(client, "RAP-T", when, values, session=session,
                            rater="therapist")  # fmt: skip

    return draw


@given(_forms("S r S"))
def test_persistent_strain_opens(shown: Shown) -> None:
    """`therapist_strain` opens at a form with `is_persistent`, none open."""
    assert signals(shown, "therapist_strain") == [(day(3, 3), None, None)]


@given(_forms("S S - r r S S"))
def test_the_second_of_two_forms_without_strain_settles_it(shown: Shown) -> None:
    """It closes at the second of two consecutive later forms with `is_strained` = false
    (`settled`); a later persistent form opens the next."""
    assert signals(shown, "therapist_strain") == [
        (day(2, 7), day(5, 7), "settled"),
        (day(7, 7), None, None),
    ]


@given(_forms("S S r ? r r"))
def test_an_unknown_form_is_none_without_strain(shown: Shown) -> None:
    """A form whose `is_strained` is null is not one with `is_strained` = false."""
    assert signals(shown, "therapist_strain") == [(day(2, 6), day(6, 6), "settled")]


@given(_forms("S S S S r S r"))
def test_none_opens_while_one_is_open(shown: Shown) -> None:
    """`therapist_strain` opens when none is open."""
    assert signals(shown, "therapist_strain") == [(day(2, 7), None, None)]


# --- goal_mismatch --------------------------------------------------------------------


def _goals(drawing: str, instrument: str = "WAI-SR") -> Draw:
    """Pairs of goal ratings: ``2:4`` client 2, therapist 4; ``!`` the therapist noted it."""

    def draw(clinic: Clinic, client: str) -> None:
        marks = drawing.split()
        for n, mark in enumerate(marks):
            when = day(n + 1, len(marks))
            session = clinic.session(client, when)
            if mark == "-":
                continue
            views = mark.rstrip("!").split(":")
            for rater, goal in zip(("client", "therapist"), views, strict=True):
                form = answers(instrument, f"{goal}/4/4")
                clinic.form(
                    client, instrument, when, form, session=session, rater=rater
                )
            if mark.endswith("!"):
                clinic.form(client, "RAP-T", when, {"T_GOALS": 3}, session=session,
                            rater="therapist")  # fmt: skip

    return draw


@given(_goals("2:4 - 3:4 3:4"))
def test_two_pairs_with_the_client_lower_open_a_mismatch(shown: Shown) -> None:
    """Opens at the second of two consecutive pairs, |gap| of one unit or more."""
    assert signals(shown, "goal_mismatch") == [(day(3, 4), None, None)]


@given(_goals("4:2 4:2 4:2"))
def test_a_client_who_is_higher_opens_none(shown: Shown) -> None:
    """`goal_mismatch` needs the client lower at both, or `T_GOALS` ≥ 3."""
    assert signals(shown, "goal_mismatch") == []


@given(_goals("4:2! 4:2 4:2"))
def test_unless_the_therapist_noted_it_at_either_session(shown: Shown) -> None:
    """`T_GOALS` ≥ 3 on a form at either session opens it with the client higher, too."""
    assert signals(shown, "goal_mismatch") == [(day(2, 3), None, None)]


@given(_goals("4:2 4:2 4:2!"))
def test_a_later_note_opens_it_then(shown: Shown) -> None:
    """It opens at the second of the two pairs of which one has the note."""
    assert signals(shown, "goal_mismatch") == [(day(3, 3), None, None)]


@given(_goals("2:4 4:2 2:4 4:2"))
def test_pairs_of_opposite_sign_open_none(shown: Shown) -> None:
    """The two pairs have the same sign."""
    assert signals(shown, "goal_mismatch") == []


@given(_goals("2:4 2:4 3.25:4 2:4 2:4 4:2"))
def test_a_closer_pair_or_the_other_sign_settles_it(shown: Shown) -> None:
    """It closes at the next pair with |gap| < 1·u or the other sign (`settled`)."""
    assert signals(shown, "goal_mismatch") == [
        (day(2, 6), day(3, 6), "settled"),
        (day(5, 6), day(6, 6), "settled"),
    ]


@given(_goals("4:5.25 4:5.25"   , "WAI-S"))  # fmt: skip
def test_a_unit_is_wider_on_a_wider_scale(shown: Shown) -> None:
    """One unit of the WAI-S is 1.5 points."""
    assert signals(shown, "goal_mismatch") == []


@given(_goals("4:5.5 4:5.5", "WAI-S"))
def test_a_gap_of_exactly_one_unit_is_reached(shown: Shown) -> None:
    """|gap| ≥ 1·u: a gap of 1.5 on the WAI-S."""
    assert signals(shown, "goal_mismatch") == [(day(2, 2), None, None)]


# --- weak_early_alliance --------------------------------------------------------------


@given("- - 2.75 2.5 3")
def test_a_weak_third_session_opens(shown: Shown) -> None:
    """Closes at the next client total that is not weak."""
    assert signals(shown, "weak_early_alliance") == [
        (day(3, 5), day(5, 5), "recovered")
    ]


@given("2 2 3 2")
def test_the_third_session_decides_when_it_has_a_total(shown: Shown) -> None:
    """Early alliance (G2) is that of session 3, when it has a total."""
    assert signals(shown, "weak_early_alliance") == []


@given("2 2 - -")
def test_a_weak_second_session_waits_for_the_fifth(shown: Shown) -> None:
    """From session 2 or 1 only once 5 sessions are attended: here 4 are."""
    assert signals(shown, "weak_early_alliance") == []


@given("4 2 - - -")
def test_from_the_second_only_once_five_are_attended(shown: Shown) -> None:
    """Its date is that of its session."""
    assert signals(shown, "weak_early_alliance") == [(day(2, 5), None, None)]


@given("2 - - - - 2 4")
def test_from_the_first_only_when_no_other_has_a_total(shown: Shown) -> None:
    """From session 1 once 5 are attended; closes at the next total that is not weak."""
    assert signals(shown, "weak_early_alliance") == [
        (day(1, 7), day(7, 7), "recovered")
    ]


# --- deterioration --------------------------------------------------------------------


def _totals(instrument: str, totals: Sequence[float]) -> Draw:
    def draw(clinic: Clinic, client: str) -> None:
        for n, total in enumerate(totals):
            when = day(n + 1, len(totals))
            session = clinic.session(client, when)
            clinic.form(client, instrument, when, {}, session=session, total=str(total))

    return draw


@given(_totals("PHQ-9", (10, 15, 16, 20, 15, 16)))
def test_a_score_reliably_worse_than_the_first_opens(shown: Shown) -> None:
    """PHQ-9: 6 points. Closes at the next score that is not reliably worse."""
    assert signals(shown, "deterioration") == [
        (day(3, 6), day(5, 6), "recovered"),
        (day(6, 6), None, None),
    ]


@given(_totals("ORS", (25, 20.01, 20)))
def test_on_the_ors_lower_is_worse(shown: Shown) -> None:
    """ORS: 5 points, higher is better."""
    assert signals(shown, "deterioration") == [(day(3, 3), None, None)]


@given(_totals("ITQ", (10, 40)))
def test_no_reliable_change_no_deterioration(shown: Shown) -> None:
    """The ITQ has no reliable change here, so nothing is reliably worse."""
    assert signals(shown, "deterioration") == []


# --- disengagement --------------------------------------------------------------------


def _calendar(*rows: tuple[str, str], episode: bool = True) -> Draw:
    def draw(clinic: Clinic, client: str) -> None:
        if episode:
            clinic.episode(client, "2026-01-01")
        for when, status in rows:
            clinic.session(client, when, status)

    return draw


@given(_calendar(("2026-06-01", "attended"), ("2026-06-05", "no_show"),
                 ("2026-06-09", "clinic_cancelled"), ("2026-06-12", "late_cancelled"),
                 ("2026-06-16", "client_cancelled"), ("2026-06-20", "attended")))  # fmt: skip
def test_two_missed_in_a_row_open_a_disengagement(shown: Shown) -> None:
    """(a) The second of two consecutive missed sessions, others skipped; closes at the
    next attended session."""
    assert signals(shown, "disengagement") == [("2026-06-12", "2026-06-20", "attended")]


@given(_calendar(("2026-06-01", "no_show"), ("2026-06-08", "no_show"),
                 ("2026-06-22", "attended")))  # fmt: skip
def test_missed_before_session_one_do_not_count(shown: Shown) -> None:
    """`disengagement` opens after session 1."""
    assert signals(shown, "disengagement") == []


@given(_calendar(("2026-06-01", "attended"), ("2026-06-08", "no_show"),
                 ("2026-06-15", "attended"), ("2026-06-22", "no_show")))  # fmt: skip
def test_an_attended_session_between_breaks_the_row(shown: Shown) -> None:
    """(a) Two consecutive missed sessions: an attended one between breaks the row."""
    assert signals(shown, "disengagement") == []


@given(_calendar(("2026-06-02", "attended")))
def test_twenty_eight_days_of_silence_open_a_disengagement(shown: Shown) -> None:
    """(b) The first day d ≤ as-of that is ≥ 28 days after an attended session: on the
    as-of date itself."""
    assert signals(shown, "disengagement") == [("2026-06-30", None, None)]


@given(_calendar(("2026-06-03", "attended")))
def test_twenty_seven_days_do_not(shown: Shown) -> None:
    """(b) 27 days are no silence."""
    assert signals(shown, "disengagement") == []


@given(_calendar(("2026-06-01", "attended"), ("2026-07-12", "scheduled")))
def test_a_booking_within_fourteen_days_is_contact_planned(shown: Shown) -> None:
    """Also after as-of: 2026-06-29 and 06-30 both have it within d + 14."""
    assert signals(shown, "disengagement") == []


@given(_calendar(("2026-06-01", "attended"), ("2026-07-14", "scheduled")))
def test_a_booking_after_fifteen_days_is_not(shown: Shown) -> None:
    """(b) A session row dated d + 15 does not keep d from opening."""
    assert signals(shown, "disengagement") == [("2026-06-29", None, None)]


@given(_calendar(("2026-06-01", "attended"), ("2026-07-01", "voided")))
def test_a_voided_session_is_no_booking(shown: Shown) -> None:
    """(b) In any status but voided."""
    assert signals(shown, "disengagement") == [("2026-06-29", None, None)]


@given(_calendar(("2026-05-01", "attended"), ("2026-06-10", "clinic_cancelled")))
def test_any_status_puts_the_silence_off(shown: Shown) -> None:
    """05-29 has a session within fourteen days, so the first day is that session's."""
    assert signals(shown, "disengagement") == [("2026-06-10", None, None)]


@given(_calendar(("2026-03-02", "attended"), ("2026-04-05", "unknown"),
                 ("2026-04-18", "unknown"), ("2026-05-10", "attended")))  # fmt: skip
def test_silence_closes_at_the_next_attended_session(shown: Shown) -> None:
    """03-30 and 04-05 each have a session within fourteen days; 04-18 has none."""
    assert signals(shown, "disengagement") == [
        ("2026-04-18", "2026-05-10", "attended"),
        ("2026-06-07", None, None),
    ]


@given(_calendar(("2026-05-01", "attended"), ("2026-06-12", "attended")))
def test_a_session_kept_within_fourteen_days_is_no_silence(shown: Shown) -> None:
    """05-29 is 28 days after, and 06-12 is its d + 14."""
    assert signals(shown, "disengagement") == []


@given(_calendar(("2026-05-01", "attended"), ("2026-05-20", "no_show"),
                 ("2026-06-10", "no_show")))  # fmt: skip
def test_whichever_comes_first(shown: Shown) -> None:
    """05-29 has the session of 06-10 within fourteen days; on 06-10 both hold."""
    assert signals(shown, "disengagement") == [("2026-06-10", None, None)]


@given(_calendar(("2026-04-01", "attended"), ("2026-05-20", "no_show"),
                 ("2026-05-22", "no_show")))  # fmt: skip
def test_silence_opens_once_until_someone_comes(shown: Shown) -> None:
    """None open: a silence that has opened is not opened again by missed sessions."""
    assert signals(shown, "disengagement") == [("2026-04-29", None, None)]


@given(_calendar(("2026-03-02", "attended"), episode=False))
def test_a_derived_episode_closes_a_disengagement_by_its_gap(shown: Shown) -> None:
    """2026-03-02 + 28, and 2026-03-02 + 90 + 1."""
    assert signals(shown, "disengagement") == [
        ("2026-03-30", "2026-06-01", "episode_closed")
    ]


# --- the table ------------------------------------------------------------------------


def test_the_log_says_nothing_that_is_no_number_or_name(night: Night) -> None:
    """No free text, no ids: every value is a number, or the name of a rule."""
    rows = night.con.execute(
        "select distinct evidence from outcomes.fct_care_signal"
    ).fetchall()
    assert len(rows) > 10
    names = {"default_rc3", "stall", "persistent_strain", "two_pairs", "early_alliance",
             "reliable_change", "missed_in_row", "silence"}  # fmt: skip
    for (evidence,) in rows:
        said = json.loads(evidence)
        assert said.pop("method") in names
        assert said and all(isinstance(v, int | float) for v in said.values())


def test_a_signal_closes_on_or_after_its_opening(night: Night) -> None:
    """A row is open without a closing date and reason, closed with both."""
    ((n, n_wrong),) = night.con.execute(
        "select count(*), count(*) filter (where closed_on < opened_on or"
        " (closed_on is null) <> (closed_reason is null) or (status = 'open')"
        " <> (closed_on is null)) from outcomes.fct_care_signal"
    ).fetchall()
    assert n > 50
    assert n_wrong == 0


def test_a_signal_is_first_detected_on_the_night_of_the_build(night: Night) -> None:
    """`first_detected_at` is the night the row first appeared."""
    rows = night.con.execute(
        "select distinct first_detected_at::varchar from outcomes.fct_care_signal"
    ).fetchall()
    assert rows == [("2026-06-30 00:00:00",)]


@pytest.mark.parametrize(
    "signal",
    ["rupture", "rupture_unrepaired", "stall_return_to_alliance", "therapist_strain",
     "goal_mismatch", "weak_early_alliance", "deterioration", "disengagement"],
)  # fmt: skip
def test_an_instrument_is_named_where_a_signal_is_of_one(
    night: Night, signal: str
) -> None:
    """The primary one, the scored one, else null."""
    rows = night.con.execute(
        "select instrument is null, count(*) from outcomes.fct_care_signal"
        f" where signal = '{signal}' group by 1"
    ).fetchall()
    assert [is_null for is_null, _ in rows] == [
        signal in ("therapist_strain", "disengagement")
    ]
