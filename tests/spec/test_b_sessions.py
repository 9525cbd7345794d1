"""B. Sessions, their local time, and the episodes that they make."""

from spec.conftest import Clinic, Night, Shown, answers, given, wai


def cases(clinic: Clinic) -> None:
    for day in ("2026-01-01", "2026-04-01", "2026-06-30"):
        clinic.session("gap90", day)
    for day in ("2026-01-01", "2026-04-02"):
        clinic.session("gap91", day)
    clinic.session(
        "dst", "2025-11-02", zone="America/New_York", at="01:30", end="2025-11-02T02:15"
    )
    clinic.session("dst", "2026-03-08", zone="America/New_York", at="02:30")
    clinic.session(
        "evening", "2026-02-01", zone="America/Los_Angeles", at="20:00-08:00"
    )
    clinic.session("future", "2026-06-01")
    clinic.session("future", "2026-07-10")
    clinic.episode("reported", "2026-01-01", "2026-12-31", "completed", name="E1")
    clinic.session("reported", "2026-02-01", episode="E1")
    clinic.session("reported", "2026-02-08", "no_show")
    clinic.session("old", "2026-01-05")
    clinic.session("new", "2026-01-12")
    clinic.merges.append("old,new,2026-02-01")


def test_ninety_days_are_one_episode_and_ninety_one_are_two(night: Night) -> None:
    """B5: a new episode starts when the gap between consecutive session dates is **more
    than 90 days**."""
    sql = "select opened_on::varchar, episode_status, n_attended from core.fct_episode where client_key = @ order by 1"
    assert night.of("gap90", sql) == [("2026-01-01", "open", 3)]
    assert night.of("gap91", sql) == [
        ("2026-01-01", "closed", 1),
        ("2026-04-02", "open", 1),
    ]


def test_a_time_that_came_twice_is_its_first_occurrence(night: Night) -> None:
    """B2: a wall-clock time that came twice (autumn) is its first occurrence; one that
    never was (spring) moves forward by the gap."""
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @ order by 1"
    assert night.of("dst", sql) == [
        ("2025-11-02 05:30:00", "2025-11-02"),
        ("2026-03-08 07:30:00", "2026-03-08"),
    ]
    assert night.finding("time_came_twice") >= 1
    assert night.finding("time_never_was") >= 1


def test_the_session_date_is_local(night: Night) -> None:
    """B2: `session_date` = local date."""
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @"
    assert night.of("evening", sql) == [("2026-02-02 04:00:00", "2026-02-01")]


def test_a_session_after_the_as_of_date_has_no_number(night: Night) -> None:
    """B3: attended sessions on or before as-of are numbered; all others have a null number."""
    sql = "select session_number from core.fct_session where client_key = @ order by session_date"
    assert night.of("future", sql) == [(1,), (None,)]


def test_a_close_in_the_future_is_not_yet_published(night: Night) -> None:
    """B6: a `closed_on` in the future, and its reason, are not yet published."""
    sql = ("select episode_status, closed_on, closure_reason, n_attended, n_missed, dropout"
           " from core.fct_episode where client_key = @")  # fmt: skip
    assert night.of("reported", sql) == [("open", None, None, 1, 1, None)]


def test_a_merged_client_is_one_client(night: Night) -> None:
    """B1: all rows of an old id belong to the last id, in every table, all history."""
    assert night.of("old", "select 1 from core.dim_client where client_key = @") == []
    sql = "select session_number from core.fct_session where client_key = @ order by 1"
    assert night.of("new", sql) == [(1,), (2,)]


# --- B2: zones, durations -----------------------------------------------------------


def _zones(clinic: Clinic, client: str) -> None:
    clinic.clinics.append("B-WEST,America/Los_Angeles")
    clinic.clinics.append("B-EAST,America/New_York")
    clinic.therapists.append("B-THERAPIST,B-EAST")
    clinic.session(client, "2026-01-05", at="20:00", clinic="B-WEST", name=f"{client}-a",
                   end="2026-01-05T20:50:59")  # fmt: skip
    clinic.session(client, "2026-01-12", at="20:00", clinic="B-WEST", zone="Asia/Tokyo",
                   end="2026-01-12T19:00")  # fmt: skip
    clinic.session(client, "2026-01-19", at="20:00")
    moment = "2026-01-20T04:00:00Z"
    for name, said in (
        ("named", {"session": f"{client}-a"}),
        ("therapist", {"therapist": "B-THERAPIST"}),
        ("last", {}),
    ):
        clinic.form(client, "PHQ-9", moment, answers("PHQ-9", "9"),
                    version=name, **said)  # fmt: skip
    clinic.form(client, "PHQ-9", "2026-01-21", answers("PHQ-9", "9"), version="bare",
                session=f"{client}-a")  # fmt: skip


@given(_zones)
def test_times_are_local_to_the_nearest_zone_that_is_known(shown: Shown) -> None:
    """B2: zone = session's `timezone`, else its clinic's, else the source's.
    Administrations: zone of the session named, else of the clinic of the therapist named,
    else of the client's last session; a bare date stays that date. `duration_minutes` =
    whole minutes, rounded down; null without an end or when negative."""
    assert shown.of(
        "select started_at::varchar, session_date::varchar, duration_minutes"
        " from core.fct_session where client_key = @ order by session_date"
    ) == [
        ("2026-01-06 04:00:00", "2026-01-05", 50),
        ("2026-01-12 11:00:00", "2026-01-12", None),
        ("2026-01-19 20:00:00", "2026-01-19", None),
    ]
    assert shown.of(
        "select version, administered_on::varchar from core.fct_measure_score"
        " where client_key = @ order by version"
    ) == [
        ("bare", "2026-01-21"),
        ("last", "2026-01-20"),
        ("named", "2026-01-19"),
        ("therapist", "2026-01-19"),
    ]


# --- B3, B4 -------------------------------------------------------------------------


def _statuses(clinic: Clinic, client: str) -> None:
    for n, status in enumerate((
        "attended", "no_show", "client_cancelled", "late_cancelled", "clinic_cancelled",
        "voided", "scheduled", "attended",
    )):  # fmt: skip
        clinic.session(client, f"2026-01-{5 + n:02d}", status)
    clinic.session(client, "2026-01-12", at="15:00")
    clinic.session(client, "2026-07-20", "no_show")


@given(_statuses)
def test_only_attended_sessions_are_numbered(shown: Shown) -> None:
    """B3: `voided` rows are published but never counted; two on one day are two sessions.
    `n_missed` = `no_show` + `client_cancelled` + `late_cancelled` up to as-of (not
    `clinic_cancelled`)."""
    assert shown.of(
        "select status, session_number from core.fct_session where client_key = @"
        " and session_date < '2026-07-01' order by started_at"
    ) == [
        ("attended", 1), ("no_show", None), ("client_cancelled", None),
        ("late_cancelled", None), ("clinic_cancelled", None), ("voided", None),
        ("scheduled", None), ("attended", 2), ("attended", 3),
    ]  # fmt: skip
    assert shown.of(
        "select n_attended, n_missed from core.fct_episode where client_key = @"
    ) == [(3, 3)]


def _reported(clinic: Clinic, client: str) -> None:
    def episode(name: str, *rest: str, **said: str) -> str:
        return clinic.episode(client, *rest, name=f"{client}-{name}", **said)

    episode("old", "2026-01-01", "2026-03-31", "other")
    episode("mine", "2026-02-01", "2026-04-30", therapist="T9")
    episode("new", "2026-03-01", "2026-04-30")
    episode("future", "2026-07-15")
    for name, day, said in (
        ("named", "2026-06-01", {"episode": f"{client}-old"}),
        ("therapist", "2026-03-10", {"therapist": "T9"}),
        ("latest", "2026-03-11", {}),
        ("last day", "2026-03-31", {"therapist": "T9", "episode": f"{client}-future"}),
        ("first day", "2026-01-01", {}),
        ("outside", "2026-05-01", {}),
    ):
        clinic.session(client, day, name=f"{client}-{name}", **said)
    clinic.session(client, "2026-04-15", "voided")


@given(_reported)
def test_a_session_belongs_to_the_reported_episode_it_names_or_lies_in(
    shown: Shown,
) -> None:
    """B4: a session (voided ones too) belongs to the episode whose `episode_id` it names
    if that episode is the same client's; else to the client's reported episode with
    `opened_on` ≤ `session_date` ≤ `closed_on`; several: same therapist first, then the
    latest `opened_on`. Each live row of `episodes` opened on or before as-of."""
    assert shown.of(
        "select session_date::varchar, opened_on::varchar, episode_origin"
        " from core.fct_session join core.fct_episode using (episode_key)"
        " where core.fct_session.client_key = @ order by 1"
    ) == [
        ("2026-01-01", "2026-01-01", "reported"),
        ("2026-03-10", "2026-02-01", "reported"),
        ("2026-03-11", "2026-03-01", "reported"),
        ("2026-03-31", "2026-02-01", "reported"),
        ("2026-04-15", "2026-03-01", "reported"),
        ("2026-05-01", "2026-05-01", "derived"),
        ("2026-06-01", "2026-01-01", "reported"),
    ]


# --- B5 to B7 -----------------------------------------------------------------------


def _around(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2025-06-01")
    clinic.session(client, "2025-12-01")
    for day in ("2025-03-02", "2025-03-03", "2025-08-30", "2025-08-31", "2025-09-02",
                "2025-09-03", "2026-03-01", "2026-03-02"):  # fmt: skip
        clinic.session(client, day, "no_show")


@given(_around)
def test_a_missed_session_joins_a_derived_episode_within_ninety_days(
    shown: Shown,
) -> None:
    """B5: a remaining session that was not attended joins the derived episode with the
    latest `opened_on` ≤ its date if it is ≤ 90 days after that episode's last attended
    date; else the first episode that opens within 90 days after it; else none."""
    assert shown.of(
        "select session_date::varchar, opened_on::varchar from core.fct_session"
        " left join core.fct_episode using (episode_key)"
        " where core.fct_session.client_key = @ and status = 'no_show' order by 1"
    ) == [
        ("2025-03-02", None),
        ("2025-03-03", "2025-06-01"),
        ("2025-08-30", "2025-06-01"),
        ("2025-08-31", None),
        ("2025-09-02", "2025-12-01"),
        ("2025-09-03", "2025-12-01"),
        ("2026-03-01", "2025-12-01"),
        ("2026-03-02", None),
    ]


def _ends(day: str):
    def draw(clinic: Clinic, client: str) -> None:
        clinic.session(client, "2026-01-05")
        clinic.session(client, day)

    return draw


@given(_ends("2026-04-01"), name="ninety")
@given(_ends("2026-03-31"), name="ninety_one")
def test_a_derived_episode_closes_when_its_gap_is_passed(shown: Shown) -> None:
    """B5: closed when as-of is more than 90 days after its last attended session;
    `closed_on` is then that last date, `closure_reason` null."""
    sql = (
        "select episode_status, closed_on::varchar, closure_reason from core.fct_episode"
        " where client_key = @"
    )
    assert shown["ninety"].of(sql) == [("open", None, None)]
    assert shown["ninety_one"].of(sql) == [("closed", "2026-03-31", None)]


def _reason_alone(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2025-01-01", "", "completed")
    clinic.session(client, "2025-01-02")


@given(_reason_alone)
def test_a_reported_episode_is_never_closed_by_inactivity(shown: Shown) -> None:
    """B6: a reason without a `closed_on` is not published. Reported episodes are never
    closed by inactivity."""
    assert shown.of(
        "select episode_status, closed_on, closure_reason from core.fct_episode"
        " where client_key = @"
    ) == [("open", None, None)]


def _described(clinic: Clinic, client: str) -> None:
    for n, (therapist, where, approach) in enumerate((
        ("T5", "K5", "cbt"), ("T4", "K4", "emdr"), ("T4", "K4", "act"), ("T5", "K5", "act"),
    )):  # fmt: skip
        clinic.session(client, f"2026-05-{1 + 7 * n:02d}", therapist=therapist,
                       clinic=where, approach=approach)  # fmt: skip


def _undescribed(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-05-01")
    clinic.session(client, "2026-05-08", "no_show", approach="emdr")


@given(_described, name="described")
@given(_undescribed, name="undescribed")
def test_an_episode_is_described_by_its_attended_sessions(shown: Shown) -> None:
    """B7: the therapist with most attended sessions, tie: the one met first; the clinic
    likewise. `trauma_focused`: reported, else true when any attended session's approach is
    one of the trauma-focused, else null. `treatment_approach`: the commonest, else null."""
    key = shown.night.keys.row_key
    assert shown["described"].of(
        "select therapist_key, clinic_key, trauma_focused, treatment_approach"
        " from core.fct_episode where client_key = @"
    ) == [
        (
            key("therapist", "canonical", "T5"),
            key("clinic", "canonical", "K5"),
            True,
            "act",
        )
    ]
    assert shown["undescribed"].of(
        "select trauma_focused, treatment_approach from core.fct_episode"
        " where client_key = @"
    ) == [(None, None)]


# --- B8 to B10 ----------------------------------------------------------------------


def link(*sessions: str, instrument: str = "WAI-SR", at: str, named: int | None = None,
         therapist: str = ""):  # fmt: skip
    """Draw sessions ``MM-DDThh:mm[@therapist]`` of 2026 and one form."""

    def draw(clinic: Clinic, client: str) -> None:
        ids = []
        for said in sessions:
            moment, _, who = said.partition("@")
            day, _, clock = f"2026-{moment}".partition("T")
            ids.append(clinic.session(client, day, at=clock or "10:00",
                                      therapist=who or "T1"))  # fmt: skip
        values = wai(4, 4, 4) if instrument == "WAI-SR" else answers(instrument, "9")
        clinic.form(client, instrument, f"2026-{at}", values, therapist=therapist,
                    session="" if named is None else ids[named])  # fmt: skip

    return draw


@given(link("01-05", "01-12", at="01-12", named=0), name="named")
@given(link("01-05", "01-08", at="01-08"), name="same_day")
@given(link("01-05T09:00", "01-05T15:00", at="01-05T12:01"), name="nearer")
@given(link("01-05T09:00", "01-05T15:00", at="01-05T12:00"), name="earlier")
@given(
    link("01-05T09:00", "01-05T15:00@T2", at="01-05T09:30", therapist="T2"), name="own"
)
@given(link("01-02", "01-08", at="01-05"), name="back")
@given(link("01-01", "01-06", at="01-05"), name="not_ahead")
@given(link("01-01", "01-06", at="01-05", instrument="PHQ-9"), name="ahead")
@given(link("01-03", "01-07", at="01-05", instrument="PHQ-9"), name="tie")
@given(link("01-03T09:00", "01-03T15:00", at="01-05"), name="same_distance")
def test_a_form_finds_its_session(shown: Shown) -> None:
    """B8: (a) the one named by `session_id`, if it is a candidate; (b) else those on the
    same local date: same therapist first, then least |administered − started|, then
    earlier start; (c) else the nearest date within `link.window_days` = 3: alliance scales
    and forms look only back, outcome scales both ways with the earlier on a tie; (d) else
    none."""
    said = {
        name: shown[name].of(
            "select distinct session_number from core.fct_measure_score"
            " where client_key = @"
        )[0][0]
        for name in ("named", "same_day", "nearer", "earlier", "own", "back",
                     "not_ahead", "ahead", "tie", "same_distance")
    }  # fmt: skip
    assert said == {
        "named": 1, "same_day": 2, "nearer": 2, "earlier": 1, "own": 2, "back": 1,
        "not_ahead": None, "ahead": 2, "tie": 1, "same_distance": 2,
    }  # fmt: skip


def _in_no_session(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01", "2026-01-31", "other")
    clinic.session(client, "2026-04-01")
    for day in ("2026-01-31", "2026-03-01", "2026-03-02", "2026-06-30"):
        clinic.form(client, "PHQ-9", day, answers("PHQ-9", "9"))


@given(_in_no_session)
def test_a_form_without_a_session_finds_its_episode_by_date(shown: Shown) -> None:
    """B9: that of its session; else the client's reported episode that contains the date;
    else the derived one with `opened_on` − 30 days ≤ date ≤ last attended + 90 days; else
    none."""
    assert shown.of(
        "select administered_on::varchar, opened_on::varchar from core.fct_measure_score"
        " left join core.fct_episode using (episode_key)"
        " where core.fct_measure_score.client_key = @ order by 1"
    ) == [
        ("2026-01-31", "2026-01-01"),
        ("2026-03-01", None),
        ("2026-03-02", "2026-04-01"),
        ("2026-06-30", "2026-04-01"),
    ]


def _several(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-01-05")
    for at, values in (
        ("11:00", wai(3, 3, 3)), ("12:00", wai(4, 4, 4)), ("13:00", {"1": 1}),
    ):  # fmt: skip
        clinic.form(client, "WAI-SR", f"2026-01-05T{at}", values, session=session)


def _updated(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-01-05")
    for updated, score in (("2026-01-07T00:00Z", 3), ("", 5), ("2026-01-06T00:00Z", 4)):
        clinic.form(client, "WAI-SR", "2026-01-05T11:00", wai(score, score, score),
                    session=session, updated=updated)  # fmt: skip


def _none_valid(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-01-05")
    bond, goal = ({k: 4 for k in wai(4, 4, 4) if k in part} for part in (
        ("3", "5", "7", "9"), ("4", "6", "8", "11"),
    ))  # fmt: skip
    for at, values in (("11:00", bond), ("12:00", goal)):
        clinic.form(client, "WAI-SR", f"2026-01-05T{at}", values, session=session)


@given(_several, name="several")
@given(_updated, name="updated")
@given(_none_valid, name="none_valid")
def test_of_several_forms_the_last_valid_one_is_used(shown: Shown) -> None:
    """B10: for one session, instrument and rater the used form is the last by
    (`administered_at`, `updated_at`, `administration_id`) of those with a valid total; if
    none has one, simply the last. All are published in `fct_measure_score`."""
    columns = ("client_total", "client_goal", "client_bond")
    assert shown["several"].sessions(*columns) == [(4.0, 4.0, 4.0)]
    assert shown["updated"].sessions(*columns) == [(3.0, 3.0, 3.0)]
    assert shown["none_valid"].sessions(*columns) == [(None, 4.0, None)]
    assert shown["several"].of(
        "select count(*) from core.fct_measure_score where client_key = @"
        " and subscale = 'total'"
    ) == [(3,)]
