"""K. Edge cases: versions, late rows, deletions, merges."""

from spec.conftest import Clinic, Shown, answers, given, wai


def _versions(clinic: Clinic, client: str) -> None:
    kind = {"name": f"{client}-s"}
    clinic.session(
        client, "2026-01-05", "no_show", updated="2026-01-07T00:00:00Z", **kind
    )
    clinic.session(
        client, "2026-01-05", "attended", updated="2026-01-08T00:00:00Z", **kind
    )
    clinic.later.session(client, "2026-01-05", "late_cancelled",
                         updated="2026-01-06T00:00:00Z", **kind)  # fmt: skip
    clinic.later.session(client, "2026-01-05", "client_cancelled", **kind)


@given(_versions)
def test_the_latest_update_wins(shown: Shown) -> None:
    """K1: one row for each id within its source: latest `updated_at`, null oldest."""
    assert shown.of("select status from core.fct_session where client_key = @") == [
        ("attended",)
    ]


def _same_update(clinic: Clinic, client: str) -> None:
    kind = {"name": f"{client}-s"}
    clinic.session(client, "2026-01-05", "attended", **kind)
    clinic.later.session(client, "2026-01-05", "no_show", **kind)
    clinic.later.session(client, "2026-01-05", "late_cancelled", **kind)


@given(_same_update)
def test_then_the_later_delivery_then_the_later_row(shown: Shown) -> None:
    """K1: then the later delivery (by delivery id, not by arrival), then the later row of
    the file."""
    assert shown.of("select status from core.fct_session where client_key = @") == [
        ("late_cancelled",)
    ]


def _deleted(clinic: Clinic, client: str) -> None:
    kind = {"name": f"{client}-s"}
    clinic.session(client, "2026-01-05", updated="2026-01-06T00:00:00Z", **kind)
    clinic.later.session(client, "2026-01-05", updated="2026-01-07T00:00:00Z",
                         deleted="true", **kind)  # fmt: skip


def _brought_back(clinic: Clinic, client: str) -> None:
    _deleted(clinic, client)
    clinic.later.session(client, "2026-01-05", updated="2026-01-08T00:00:00Z",
                         name=f"{client}-s")  # fmt: skip


@given(_deleted, name="gone")
@given(_brought_back, name="back")
def test_a_deleted_winner_is_gone_until_a_later_version(shown: Shown) -> None:
    """K1: if the winner is `deleted`, the row is gone; a later undeleted version brings it
    back."""
    sql = "select count(*) from core.fct_session where client_key = @"
    assert shown["gone"].of(sql) == [(0,)]
    assert shown["back"].of(sql) == [(1,)]


def _item_sets(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-01-05", name=f"{client}-s")
    form = {"session": session, "name": f"{client}-m"}
    clinic.form(client, "WAI-SR", "2026-01-05", wai(5, 5, 5), **form)
    clinic.later.form(client, "WAI-SR", "2026-01-05", {str(k): 3 for k in range(1, 12)},
                      **form)  # fmt: skip


@given(_item_sets)
def test_the_item_set_comes_whole(shown: Shown) -> None:
    """K1: the item set of an administration comes whole from the latest delivery that
    carries any item of it."""
    assert shown.night.total(shown.client) == (3.0, 11, 12, "prorated", None)


def _conflict(clinic: Clinic, client: str) -> None:
    form = clinic.form(client, "PCL-5", "2026-01-05", answers("PCL-5", "20"))
    clinic.items += [f"{form},1,3", f"{form},2,1.0", f"{form},03,", f"{form},4,1"]


@given(_conflict)
def test_two_values_for_one_item_are_no_answer(shown: Shown) -> None:
    """K1: two different values for one item in one delivery (compared as numbers where
    they are; an empty one differs from a number): that item is not answered."""
    assert shown.night.total(shown.client) == (20.0, 18, 20, "prorated", None)
    assert shown.night.finding("item_with_two_values") >= 2


def _late(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-01-12")
    clinic.later.session(client, "2026-01-05")


@given(_late)
def test_a_late_row_is_as_if_it_had_always_been_there(shown: Shown) -> None:
    """K2: late and out-of-order rows: sessions renumber."""
    assert shown.of(
        "select session_date::varchar, session_number from core.fct_session"
        " where client_key = @ order by 1"
    ) == [("2026-01-05", 1), ("2026-01-12", 2)]


def _relinked(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-01-05")
    gone = clinic.session(client, "2026-01-07", name=f"{client}-gone", deleted="true")
    voided = clinic.session(client, "2026-03-01", "voided")
    clinic.form(client, "WAI-SR", "2026-01-07", wai(4, 4, 4), session=gone)
    clinic.form(client, "WAI-SR", "2026-03-01", wai(3, 3, 3), session=voided)


@given(_relinked)
def test_the_form_of_a_deleted_or_voided_session_relinks(shown: Shown) -> None:
    """K3: deleted or voided session with a form: the form relinks by B8; unlinked alliance
    forms stay in `fct_measure_score` and enter no series."""
    assert shown.of(
        "select administered_on::varchar, session_number from core.fct_measure_score"
        " where client_key = @ and subscale = 'total' order by 1"
    ) == [("2026-01-07", 1), ("2026-03-01", None)]
    assert shown.sessions("session_number", "client_total") == [(1, 4.0)]


def _same_day(clinic: Clinic, client: str) -> None:
    clinic.session(client, "2026-01-05", at="09:00")
    clinic.session(client, "2026-01-05", at="15:00")
    clinic.form(client, "WAI-SR", "2026-01-05T14:00", wai(4, 4, 4))


@given(_same_day)
def test_two_sessions_of_a_day_get_their_own_numbers(shown: Shown) -> None:
    """K4: same-day sessions get their own numbers; a form without `session_id` on such a
    day goes by B8(b), once."""
    assert shown.of(
        "select session_number from core.fct_session where client_key = @ order by 1"
    ) == [(1,), (2,)]
    assert shown.sessions("session_number") == [(2,)]


@given("4 4 4 =3.3864 =3.6932")
def test_ties_at_thresholds_count_as_reached(shown: Shown) -> None:
    """K5: B = 4.0, RC = 0.6136, x = 3.3864 is a rupture; repair at 3.6932."""
    assert shown.ruptures("default_rc3", "onset_session_number", "status") == [
        (4, "resolved")
    ]


@given("4.25 4.25 4.25 3 - - - -")
def test_a_missing_score_ends_nothing(shown: Shown) -> None:
    """K6: a missing score neither opens, repairs nor ends anything; it is not a "further
    valid score"."""
    assert shown.ruptures("default_rc3", "status") == [("pending",)]


def _not_attended(clinic: Clinic, client: str) -> None:
    missed = clinic.session(client, "2026-01-05", "no_show")
    clinic.form(client, "WAI-SR", "2026-01-05", wai(4, 4, 4), session=missed)
    clinic.session(client, "2026-01-12", "other")


@given(_not_attended)
def test_sessions_without_number_carry_no_alliance_score(shown: Shown) -> None:
    """K7: sessions without number carry no alliance score. K10: unknown codes are
    published, never counted as attended or missed."""
    assert shown.sessions("session_number") == []
    assert shown.of(
        "select status, session_number from core.fct_session where client_key = @ order by 1"
    ) == [("no_show", None), ("unknown", None)]


def _merged(clinic: Clinic, client: str) -> None:
    old, older = f"{client}-old", f"{client}-older"
    clinic.merges += [f"{older},{old},2026-05-01", f"{old},{client},2026-05-02"]
    clinic.merges.append(f"{client}-future,{client},2026-07-01")
    clinic.session(older, "2026-01-05")
    clinic.session(old, "2026-01-12")
    clinic.session(client, "2026-01-19")
    clinic.session(f"{client}-future", "2026-01-26")
    for id_, day in (
        (older, "2026-01-05"),
        (old, "2026-01-12"),
        (client, "2026-01-19"),
    ):
        clinic.form(id_, "WAI-SR", day, wai(4, 4, 4))


@given(_merged)
def test_all_rows_of_a_merged_id_belong_to_the_last(shown: Shown) -> None:
    """B1: `client_merges` with `merged_on` ≤ as-of map old → new, followed to the end of
    the chain. K8: numbers, episodes and series are rebuilt over all ids."""
    assert shown.sessions("session_number") == [(1,), (2,), (3,)]
    assert shown.of("select n_attended from core.fct_episode where client_key = @") == [
        (3,)
    ]


def _overlapping(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01", name=f"{client}-a")
    clinic.episode(f"{client}-old", "2026-02-01", name=f"{client}-b")
    clinic.merges.append(f"{client}-old,{client},2026-05-01")
    clinic.session(client, "2026-03-01")


@given(_overlapping)
def test_two_reported_episodes_that_overlap_stay_two(shown: Shown) -> None:
    """K8: two reported episodes that now overlap stay two. B4: then the latest
    `opened_on`."""
    assert shown.of(
        "select opened_on::varchar, n_attended from core.fct_episode where client_key = @"
        " order by 1"
    ) == [("2026-01-01", 0), ("2026-02-01", 1)]


def _nobody(clinic: Clinic, client: str) -> None:
    clinic.episode(client, "2026-01-01")
    clinic.form(client, "PCL-5", "2026-01-05", answers("PCL-5", "20"))


@given(_nobody)
def test_an_episode_without_therapist_or_clinic_stands(shown: Shown) -> None:
    """K9: episode with no therapist or no clinic: published with null keys; forms still
    count."""
    assert shown.of(
        "select therapist_key, clinic_key, n_scores from core.fct_episode"
        " join outcomes.fct_episode_outcome using (episode_key) where client_key = @"
    ) == [(None, None, 1)]


@given("=4.25 =4.25 =4.25 =3")
def test_reported_totals_have_no_subscales(shown: Shown) -> None:
    """K11: reported totals have no subscales: lead component `none`, no component
    pairs."""
    assert shown.ruptures("default_rc3", "lead_component") == [("none",)]
    assert shown.sessions("client_goal", "client_task", "client_bond") == [
        (None, None, None)
    ] * 4  # fmt: skip
    assert shown.of(
        "select 1 from alliance.fct_congruence join core.fct_episode"
        " using (episode_key) where client_key = @"
    ) == []  # fmt: skip
