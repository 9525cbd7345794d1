"""E. The therapist's own signs, and work that strengthens the alliance."""

from spec.conftest import Clinic, Shown, answers, given


def markers(shown: Shown, *columns: str) -> list[tuple]:
    return shown.of(
        f"select {', '.join(columns)} from alliance.fct_therapist_marker"
        " join core.fct_session using (session_key, session_number)"
        " where client_key = @ order by session_number"
    )


def work(shown: Shown, *columns: str) -> list[tuple]:
    return shown.of(
        f"select {', '.join(columns)} from alliance.fct_strengthening as work"
        " join core.fct_session as session using (session_key)"
        " where client_key = @ order by work.session_number"
    )


@given("3:1:0:0:2 1:0:0:0:", "RAP-T")
def test_the_columns_hold_the_items(shown: Shown) -> None:
    """The five columns hold the item values (`goals_inconsistent` = `T_GOALS`).
    `strain_sum` = sum of the five, null unless all are answered."""
    columns = ("frustration", "effort", "helpless", "self_doubt", "goals_inconsistent")
    assert markers(shown, *columns, "strain_sum") == [
        (3, 1, 0, 0, 2, 6),
        (1, 0, 0, 0, None, None),
    ]


@given(":::::1:3:3 5:-1:1.5:x:99 - :::0:", "RAP-T")
def test_a_form_without_an_answered_item_is_no_row(shown: Shown) -> None:
    """One row for each session with a used `RAP-T` form that has at least one of the five
    0–4 items answered: tension items alone are none, nor values out of range."""
    assert markers(shown, "session_number", "self_doubt") == [(4, 0)]


@given("3:0:0:0:0 2:2:2:1:0 2:2:2:2:0 2:2:2:2: 2:2:2:1: 0:0:0:0: ::::3", "RAP-T")
def test_a_high_item_or_a_high_sum_is_strain(shown: Shown) -> None:
    """`is_strained` = true when any answered item ≥ 3 or the answered ones sum to ≥ 8;
    else false when all five are answered, else null."""
    assert [row for (row,) in markers(shown, "is_strained")] == [
        True,
        False,
        True,
        True,
        None,
        None,
        True,
    ]


@given(
    "3:0:0:0:0 0:0:0:0:0 - 3:0:0:0:0 0:0:0:0:0 0:0:0:0:0 0:0:0:0: 3:0:0:0:0 3:0:0:0:0",
    "RAP-T",
)
def test_two_strained_of_three_forms_are_persistent(shown: Shown) -> None:
    """`is_persistent` = this form and the two forms before it in the episode (fewer if
    there are fewer) hold at least 2 strained ones (null is not strained)."""
    assert markers(shown, "session_number", "is_persistent") == [
        (1, False),
        (2, False),
        (4, True),
        (5, False),
        (6, False),
        (7, False),
        (8, False),
        (9, True),
    ]


@given("2:0:2:0:0 0:2:0:2:0 2:2:1:1:0 1:1:2:2:0 ::2:2:0 2:::2:", "RAP-T")
def test_the_two_experiences_come_in_tandem(shown: Shown) -> None:
    """`in_tandem` = (frustration ≥ 2 or effort ≥ 2) and (helpless ≥ 2 or self_doubt ≥ 2);
    a missing item counts as not reached."""
    assert [row for (row,) in markers(shown, "in_tandem")] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]


def _two_forms(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-05-01")
    for at, mark in (("12:00", "4:4:4:4:4"), ("13:00", ":::0:")):
        clinic.form(client, "RAP-T", f"2026-05-01T{at}", answers("RAP-T", mark),
                    rater="therapist", session=session)  # fmt: skip


@given(_two_forms)
def test_the_last_form_of_a_session_is_used(shown: Shown) -> None:
    """B10: for A3 forms, simply the last by `administered_at`."""
    assert markers(shown, "frustration", "self_doubt") == [(None, 0)]


def _by_the_client(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-05-01")
    for instrument, mark in (("RAP-T", "4:4:4:4:4"), ("RAP-S", "1:1:1")):
        clinic.form(client, instrument, "2026-05-01", answers(instrument, mark),
                    session=session)  # fmt: skip


@given(_by_the_client)
def test_a_form_of_the_wrong_rater_is_ignored_and_counted(shown: Shown) -> None:
    """A4.1: A3 forms with a wrong rater are ignored and counted."""
    assert markers(shown, "session_number") == []
    assert work(shown, "work.session_number") == []
    assert shown.of("select 1 from core.fct_measure_score where client_key = @") == []
    assert shown.night.finding("session_form_wrong_rater") >= 2


@given("1:0:0 0:0:0 ::1 0:: 2:1:", "RAP-S")
def test_any_recorded_work_is_a_row(shown: Shown) -> None:
    """One row for each session with a used `RAP-S` form with any item = 1; missing =
    false."""
    assert work(
        shown, "work.session_number", "destigmatize", "compassion", "co_create"
    ) == [
        (1, True, False, False),
        (3, False, False, True),
        (5, False, True, False),
    ]


def _work_at_every_session(drawing: str, *, closed: bool = False):
    def draw(clinic: Clinic, client: str) -> None:
        if closed:
            clinic.episode(client, "2025-06-01", "2026-06-25", "completed")
        clinic.series(client, drawing)
        for session in clinic.sessions_of(client):
            day = next(r for r in clinic.sessions if r.startswith(session + ",")).split(
                ","
            )[4][:10]
            clinic.form(client, "RAP-S", day, {"S_COMPASSION": 1}, rater="therapist",
                        session=session)  # fmt: skip

    return draw


@given(_work_at_every_session("4.25 4.25 4.25 3 3 4.25 4.25"), name="resolved")
@given(_work_at_every_session("4.25 4.25 4.25 3 3 3 3 4.25"), name="late_repair")
@given(_work_at_every_session("4.25 4.25 4.25 3 3 3 3"), name="unresolved")
@given(_work_at_every_session("4.25 4.25 4.25 3", closed=True), name="at_close")
@given(_work_at_every_session("4.25 4.25 4.25 3"), name="pending")
def test_the_work_says_which_rupture_stood(shown: Shown) -> None:
    """`after_rupture` = the latest `default_rc3` rupture (primary instrument) of the
    episode with onset ≤ this session number ≤ repair (or not repaired); else null.
    `repaired_after`: true when that rupture is resolved or late_repair; false when
    unresolved or unresolved_at_close; null when pending or no rupture."""

    def rows(name: str) -> list[tuple]:
        return work(shown[name], "after_rupture is not null", "repaired_after")

    outside = (False, None)
    assert rows("resolved") == [outside] * 3 + [(True, True)] * 3 + [outside]
    assert rows("late_repair") == [outside] * 3 + [(True, True)] * 5
    assert rows("unresolved") == [outside] * 3 + [(True, False)] * 4
    assert rows("at_close") == [outside] * 3 + [(True, False)]
    assert rows("pending") == [outside] * 3 + [(True, None)]


def _twice(clinic: Clinic, client: str) -> None:
    clinic.series(client, "4.25 4.25 4.25 3 4.25@T2 3@T2 4.25@T2 2@T2")
    clinic.form(client, "RAP-S", "2026-06-22", {"S_COCREATE": 1}, rater="therapist",
                session=clinic.sessions_of(client)[-1])  # fmt: skip


@given(_twice)
def test_of_two_ruptures_the_latest_stands(shown: Shown) -> None:
    """`after_rupture` = the latest rupture: here one of each therapist is not repaired."""
    assert shown.ruptures("default_rc3", "onset_session_number") == [(4,), (8,)]
    assert shown.of(
        "select onset_session_number from alliance.fct_strengthening as work"
        " join alliance.fct_rupture as rupture on after_rupture = rupture_key"
        " where client_key = @"
    ) == [(8,)]


def _on_another_instrument(clinic: Clinic, client: str) -> None:
    clinic.series(client, "4.25 4.25 4.25 4.25 4.25")
    sessions = clinic.sessions_of(client)
    for session, total in zip(sessions, (36, 36, 36, 20), strict=False):
        day = next(r for r in clinic.sessions if r.startswith(session + ",")).split(
            ","
        )[4][:10]
        clinic.form(client, "SRS", day, answers("SRS", str(total)), session=session)
    clinic.form(client, "RAP-S", "2026-06-22", {"S_COCREATE": 1}, rater="therapist",
                session=sessions[-1])  # fmt: skip


@given(_on_another_instrument)
def test_a_rupture_on_another_instrument_does_not_stand(shown: Shown) -> None:
    """`after_rupture` is of the primary instrument."""
    assert shown.ruptures("default_rc3", "instrument") == [("SRS",)]
    assert work(shown, "after_rupture") == [(None,)]
