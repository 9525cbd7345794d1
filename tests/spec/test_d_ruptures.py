"""D. Ruptures: one engine, many methods."""

import pytest

from spec.conftest import Clinic, Shown, given


def near(*values: float) -> list[object]:
    return [pytest.approx(value, abs=1e-6) for value in values]


def onsets(shown: Shown, method: str) -> list[int]:
    return [onset for (onset,) in shown.ruptures(method, "onset_session_number")]


def courses(shown: Shown, method: str) -> list[tuple]:
    return shown.ruptures(
        method, "onset_session_number", "status", "shape", "sessions_to_repair"
    )


def levels(shown: Shown, method: str) -> list[object]:
    ((*found,),) = shown.ruptures(method, "baseline", "onset_score", "drop_size")
    return found


# --- D1. one engine -----------------------------------------------------------------


@given("4.25 4.25 4.25 3.50 4.00")
def test_the_worked_example_is_a_resolved_v(shown: Shown) -> None:
    """Worked: 4.25, 4.25, 4.25, 3.50, 4.00 → B 4.25, trigger level 3.6364, rupture at
    the fourth (drop 0.75, ratio 1.222, possible), R 3.9432, repaired at the fifth:
    resolved, `v`."""
    ((onset, baseline, drop, ratio, *rest),) = shown.ruptures(
        "default_rc3", "onset_session_number", "baseline", "drop_size", "drop_ratio",
        "strength", "status", "shape", "sessions_to_repair")  # fmt: skip
    assert (onset, baseline, drop) == (4, 4.25, 0.75)
    assert ratio == pytest.approx(0.75 / 0.6136)
    assert rest == ["possible", "resolved", "v", 1]


@given("=4.0 =4.0 =3.3864", name="reached")
@given("=4.0 =4.0 =3.3864005", name="within EPS")
@given("=4.0 =4.0 =3.38642", name="missed")
def test_a_drop_of_just_the_reliable_change_is_a_rupture(shown: Shown) -> None:
    """Ties at thresholds count as reached: B = 4.0, RC = 0.6136, x = 3.3864 is a rupture."""
    assert onsets(shown["reached"], "default_rc3") == [3]
    assert onsets(shown["within EPS"], "default_rc3") == [3]
    assert onsets(shown["missed"], "default_rc3") == []


@given("=4.0 =4.0 =3.3864 =3.6932", name="reached")
@given("=4.0 =4.0 =3.3864 =3.69318", name="missed")
def test_a_rise_to_just_the_repair_level_repairs(shown: Shown) -> None:
    """Open, and x ≥ R → repaired at this score (B = 4.0, RC = 0.6136: repair at 3.6932)."""
    assert courses(shown["reached"], "default_rc3") == [(3, "resolved", "v", 1)]
    assert courses(shown["missed"], "default_rc3") == [(3, "pending", None, None)]


@given("4.25 4.25 4.25 3.50 2.50 1.50 2.00")
def test_an_open_rupture_stays_open_however_low_it_falls(shown: Shown) -> None:
    """With at most one open rupture: otherwise it stays open, however low it falls."""
    assert shown.ruptures(
        "default_rc3", "onset_session_number", "drop_size", "strength", "trough_score"
    ) == [(4, 0.75, "possible", 1.5)]


@given("4.25 4.25 4.25 3.0 3.0 3.0 4.25", name="third")
@given("4.25 4.25 4.25 3.0 3.0 3.0 3.0 4.25", name="fourth")
def test_a_repair_within_three_scores_is_resolved_and_a_later_one_late(
    shown: Shown,
) -> None:
    """**resolved** = repaired at one of the W = 3 next valid scores; **late_repair** =
    repaired later."""
    assert courses(shown["third"], "default_rc3") == [(4, "resolved", "u", 3)]
    assert courses(shown["fourth"], "default_rc3") == [(4, "late_repair", "u", 4)]


@given("4.25 4.25 4.25 3.0 3.0 3.0", name="two")
@given("4.25 4.25 4.25 3.0 3.0 3.0 3.0", name="three")
@given("4.25 4.25 4.25 3.0 3.0 3.0", name="two, closed", closed=True)
@given("4.25 4.25 4.25 3.0 3.0 3.0 3.0", name="three, closed", closed=True)
def test_what_is_not_repaired_is_unresolved_after_three_scores_or_at_the_close(
    shown: Shown,
) -> None:
    """Not repaired: **unresolved** when 3 or more further valid scores exist; else
    **unresolved_at_close** when the episode is closed; else **pending**. `shape`: `l`
    unresolved or unresolved_at_close; null while pending."""
    assert courses(shown["two"], "default_rc3") == [(4, "pending", None, None)]
    assert courses(shown["three"], "default_rc3") == [(4, "unresolved", "l", None)]
    assert courses(shown["two, closed"], "default_rc3") == [
        (4, "unresolved_at_close", "l", None)
    ]
    assert courses(shown["three, closed"], "default_rc3") == [
        (4, "unresolved", "l", None)
    ]


@given("4.25 4.25 4.25 3.0 - - - -")
def test_a_session_without_a_score_is_no_further_valid_score(shown: Shown) -> None:
    """NULL never equals a value: a missing score neither opens, repairs nor ends
    anything; it is not a "further valid score"."""
    assert courses(shown, "default_rc3") == [(4, "pending", None, None)]


@given("4.25 4.25 4.25 3.5 - - 4.25")
def test_the_way_to_repair_is_counted_in_sessions_and_its_shape_in_scores(
    shown: Shown,
) -> None:
    """`sessions_to_repair` = difference of session numbers; `v` repaired at the very next
    valid score."""
    assert courses(shown, "default_rc3") == [(4, "resolved", "v", 3)]


@given("4.25 4.25 4.25 3.5 3.0 3.75 4.25 2.0", name="repaired")
@given("4.25 4.25 4.25 3.5 3.0 2.75", name="open")
def test_the_trough_is_the_lowest_score_before_the_repair(shown: Shown) -> None:
    """`trough_score` = lowest from onset up to, not including, the repair (or the last
    score)."""
    assert shown["repaired"].ruptures("default_rc3", "trough_score")[0] == (3.0,)
    assert shown["open"].ruptures("default_rc3", "trough_score") == [(2.75,)]


@given("=4.25 =4.25 =3.3296", name="likely")
@given("=4.25 =4.25 =3.3297", name="possible")
def test_a_drop_of_one_and_a_half_reliable_changes_is_likely(shown: Shown) -> None:
    """`strength`: likely when drop_ratio ≥ 1.5, else possible (1.5 × 0.6136 = 0.9204)."""
    assert shown["likely"].ruptures("default_rc3", "strength") == [("likely",)]
    assert shown["possible"].ruptures("default_rc3", "strength") == [("possible",)]


@given("4.25 4.25 4.25 3.5 2.0 1.0")
def test_strength_is_that_of_the_onset(shown: Shown) -> None:
    """Strength, drop and lead are those of the onset: known at first sight and not
    rewritten by a later trough."""
    assert shown.ruptures("default_rc3", "strength", "drop_size") == [
        ("possible", 0.75)
    ]


@given("4/4/4.5 4/4/4.5 4/4/4.5 4/3.75/2", name="bond")
@given("4/4/4 4/4/4 4/4/4 4/2/3.75", name="task")
@given("4/4/4 4/4/4 4/4/4 2/3.5/4", name="goal")
@given("4/4/4 4/4/4 4/4/4 4/2.5/2.5", name="task and bond")
@given("4/4/4 4/4/4 4/4/4 3/3/3", name="all alike")
@given("=4 =4 =4 =3", name="reported")
def test_the_component_that_dropped_most_leads(shown: Shown) -> None:
    """`lead_component`: for goal, task, bond: (mean of that subscale over the reference
    sessions − its value at onset) ÷ RC subscale; the largest, if > 0; tie: goal, task,
    bond in that order. `none` if no subscale scores (reported totals)."""
    assert {name: shown[name].ruptures("default_rc3", "lead_component") for name in (
        "bond", "task", "goal", "task and bond", "all alike", "reported")} == {
        "bond": [("bond",)], "task": [("task",)], "goal": [("goal",)],
        "task and bond": [("task",)], "all alike": [("goal",)],
        "reported": [("none",)]}  # fmt: skip


@given("5/4/3 3/4/5 4/4/4 3.5/2.75/3.25")
def test_the_lead_looks_at_the_mean_of_the_reference_sessions(shown: Shown) -> None:
    """(mean of that subscale over the reference sessions − its value at onset): from
    means of 4, 4, 4 the task fell most, though from the first session the goal did."""
    assert shown.ruptures("default_rc3", "baseline", "lead_component") == [
        (4.0, "task")
    ]


@given("3/4/5 =4.0 3/4/5 3/3.75/3")
def test_a_reference_session_without_subscales_is_left_out_of_the_means(
    shown: Shown,
) -> None:
    """A reference session without subscales is left out of the means."""
    assert shown.ruptures("default_rc3", "baseline", "lead_component") == [
        (4.0, "bond")
    ]


@given("4 4 4 3")
def test_ruptures_are_the_clients_view_in_version_one(shown: Shown) -> None:
    """`rater` client; `method_version` `1`; `first_seen_at` = the night the rupture first
    appeared."""
    assert shown.ruptures(
        "default_rc3", "rater", "method_version", "first_seen_at::varchar"
    ) == [("client", "1", "2026-06-30 00:00:00")]


# --- D2. default_rc3 ----------------------------------------------------------------


@given("4.25 3.0", name="two")
@given("4.25 4.25 3.0", name="three")
def test_the_default_method_asks_for_three_scores(shown: Shown) -> None:
    """`default_rc3` (default; minimum 3 scores). B = mean of the last up to 3, at least
    2, earlier scores."""
    assert onsets(shown["two"], "default_rc3") == []
    assert onsets(shown["three"], "default_rc3") == [3]


@given("5 4 4 4.25 3.25")
def test_the_baseline_is_the_mean_of_the_last_three_scores(shown: Shown) -> None:
    """B = mean of the last up to 3 earlier scores of the series."""
    assert levels(shown, "default_rc3") == near(12.25 / 3, 3.25, 12.25 / 3 - 3.25)


@given("4.5 4.5 4.5 3.5 3.0 4.25 3.75 3.5")
def test_the_baseline_leaves_out_a_rupture_and_counts_its_repair(shown: Shown) -> None:
    """Scores of the series that lie outside any rupture (scores from onset to before
    repair are left out; the repair score counts)."""
    first, second = shown.ruptures("default_rc3", "onset_session_number", "baseline")
    assert first == (4, 4.5)
    assert list(second) == near(7, (4.5 + 4.5 + 4.25) / 3)


@given("6 6 6 =5.0796", "WAI-S", name="reached")
@given("6 6 6 =5.0797", "WAI-S", name="missed")
@given("38 38 38 =33.2", "SRS", name="SRS reached")
@given("38 38 38 =33.21", "SRS", name="SRS missed")
def test_each_instrument_has_its_own_reliable_change(shown: Shown) -> None:
    """Thresholds are on the native scale: RC 0.9204 of the WAI-S, 4.80 of the SRS."""
    assert onsets(shown["reached"], "default_rc3") == [4]
    assert onsets(shown["missed"], "default_rc3") == []
    assert onsets(shown["SRS reached"], "default_rc3") == [4]
    assert onsets(shown["SRS missed"], "default_rc3") == []
    assert shown["SRS reached"].ruptures("default_rc3", "drop_ratio") == [
        (pytest.approx(1.0),)
    ]


@given("4 2@T2 4 2@T2 4 1.0@T2 4")
def test_a_covering_therapists_ruptures_are_their_own(shown: Shown) -> None:
    """A covering therapist starts another series and does not disturb the first."""
    ((onset, baseline, is_other),) = shown.ruptures(
        "default_rc3", "onset_session_number", "baseline",
        "therapist_key <> (select therapist_key from core.fct_episode as episode"
        " where episode.episode_key = fct_rupture.episode_key)")  # fmt: skip
    assert (onset, baseline, is_other) == (6, 2.0, True)


# --- D3. alternatives ---------------------------------------------------------------


@given("4.25 3.50 4.00 3.25")
def test_adjacent_rci_compares_with_the_previous_score(shown: Shown) -> None:
    """`adjacent_rci`: B = prev, xₜ ≤ B − RC, R = B − 0.5·RC, from 2 scores; after a
    repair the repair score is the previous one."""
    assert courses(shown, "adjacent_rci") == [
        (2, "resolved", "v", 1),
        (4, "pending", None, None),
    ]
    assert shown.ruptures("adjacent_rci", "baseline", "drop_size") == [
        (4.25, 0.75),
        (4.0, 0.75),
    ]


@given("=4.25 =3.6364 =3.9432", name="reached")
@given("=4.25 =3.63642", name="missed")
@given("=4.25 =3.6364 =3.94318", name="not repaired")
@given("4.25 3.75 3.25 2.75", name="slow")
def test_adjacent_rci_at_its_thresholds(shown: Shown) -> None:
    """`adjacent_rci`: xₜ ≤ 4.25 − 0.6136 = 3.6364; R = 4.25 − 0.3068 = 3.9432. A slow
    decline, each step less than RC, is none."""
    assert courses(shown["reached"], "adjacent_rci") == [(2, "resolved", "v", 1)]
    assert onsets(shown["missed"], "adjacent_rci") == []
    assert courses(shown["not repaired"], "adjacent_rci") == [
        (2, "pending", None, None)
    ]
    assert onsets(shown["slow"], "adjacent_rci") == []


@given("4/4/4 5/3/4 4/3/2")
def test_the_reference_of_a_previous_score_is_its_session(shown: Shown) -> None:
    """Reference sessions: the session(s) B is made of: from 5, 3, 4 to 4, 3, 2 the bond
    fell most."""
    assert shown.ruptures("adjacent_rci", "lead_component") == [("bond",)]


@given("=4.25 =3.55 =4.075", name="reached")
@given("=4.25 =3.5501", name="missed")
@given("=4.25 =3.55 =4.0749", name="not repaired")
@given("=6 =4.95 =5.7375", "WAI-S", name="WAI-S")
@given("=38 =33 =36.75", "SRS", name="SRS")
def test_v_shape_sd_asks_for_one_standard_deviation(shown: Shown) -> None:
    """`v_shape_sd`: xₜ ≤ B − 1·SDref (0.70; WAI-S 1.05; SRS 5), R = B − 0.25·SDref."""
    assert courses(shown["reached"], "v_shape_sd") == [(2, "resolved", "v", 1)]
    assert onsets(shown["missed"], "v_shape_sd") == []
    assert courses(shown["not repaired"], "v_shape_sd") == [(2, "pending", None, None)]
    assert courses(shown["WAI-S"], "v_shape_sd") == [(2, "resolved", "v", 1)]
    assert courses(shown["SRS"], "v_shape_sd") == [(2, "resolved", "v", 1)]
    assert shown["reached"].ruptures("v_shape_sd", "drop_ratio", "strength") == [
        (pytest.approx(0.7 / 0.6136), "possible")
    ]


@given("=4.25 =3.25 =3.75", name="reached")
@given("=4.25 =3.2501", name="missed")
@given("=4.25 =3.25 =3.7499", name="not repaired")
@given("=6 =4.5 =5.25", "WAI-S", name="WAI-S")
@given("=6 =4.51", "WAI-S", name="WAI-S missed")
@given("=38 =28 =33", "SRS", name="SRS")
def test_abs_drop_asks_for_a_quarter_of_the_scale(shown: Shown) -> None:
    """`abs_drop`: xₜ ≤ B − 1.0·u, R = B − 0.5·u (WAI-SR 1, WAI-S 1.5, SRS 10)."""
    assert courses(shown["reached"], "abs_drop") == [(2, "resolved", "v", 1)]
    assert onsets(shown["missed"], "abs_drop") == []
    assert courses(shown["not repaired"], "abs_drop") == [(2, "pending", None, None)]
    assert courses(shown["WAI-S"], "abs_drop") == [(2, "resolved", "v", 1)]
    assert onsets(shown["WAI-S missed"], "abs_drop") == []
    assert courses(shown["SRS"], "abs_drop") == [(2, "resolved", "v", 1)]


@given("4 4 4 4 3", name="all")
@given("4 4 4 3", name="four")
@given("4 4 4 4 4", name="flat")
def test_a_control_chart_asks_for_five_scores_and_some_movement(shown: Shown) -> None:
    """Control chart: minimum 5, CL = mean of the whole series, xₜ < CL − L·σ; σ = mean
    moving range ÷ 1.128; none if σ ≤ EPS. CL 3.8 and σ 0.25 ÷ 1.128 give levels 3.578,
    3.357, 3.135."""
    for level in (1, 2, 3):
        method = f"control_chart_l{level}"
        assert levels(shown["all"], method) == near(3.8, 3.0, 0.8)
        assert onsets(shown["four"], method) == []
        assert onsets(shown["flat"], method) == []


@given("4 4 3 4 4")
def test_the_wider_control_charts_fire_less(shown: Shown) -> None:
    """CL 3.8, mean moving range 0.5: levels 3.357 (L1) and 2.913 (L2); R = CL."""
    assert courses(shown, "control_chart_l1") == [(3, "resolved", "v", 1)]
    assert onsets(shown, "control_chart_l2") == []
    assert onsets(shown, "control_chart_l3") == []


@given("=4 =5 =4 =5 =3.158798283261802", name="tie")
@given("=4 =5 =4 =5 =3.1587", name="below")
def test_a_score_on_the_control_line_is_not_below_it(shown: Shown) -> None:
    """`<` needs a real difference: xₜ = CL − L·σ does not fire."""
    assert onsets(shown["tie"], "control_chart_l1") == []
    assert onsets(shown["below"], "control_chart_l1") == [5]


@given("4 4 4 3 =3.8333333333 4 4", name="tie")
@given("4 4 4 3 =3.83 4 4", name="not yet")
def test_a_control_chart_rupture_is_repaired_at_the_centre_line(shown: Shown) -> None:
    """Control chart: R = CL, here 26.8333 ÷ 7 = 3.8333 and 26.83 ÷ 7 = 3.8329."""
    assert courses(shown["tie"], "control_chart_l1") == [(4, "resolved", "v", 1)]
    assert courses(shown["not yet"], "control_chart_l1") == [(4, "resolved", "u", 2)]


@given("4 4 4 4 3", name="that night")
@given("4 4 4 4 3 5 3 5", name="later")
def test_a_retrospective_verdict_may_change(shown: Shown) -> None:
    """Retrospective methods use the whole series known on the night, so an earlier
    verdict may change: of the same five scores L2 names the fifth only at first."""
    assert onsets(shown["that night"], "control_chart_l2") == [5]
    assert onsets(shown["later"], "control_chart_l2") == []


@given("3 4 4 4 4", name="first")
@given("5/4/3 3/4/5 4/3/5 4/4/4 3/3/2", name="later")
def test_the_reference_of_a_control_chart_is_all_sessions_before(shown: Shown) -> None:
    """Control chart: all sessions of the series before t; of the first score there are
    none, so its lead is `none`."""
    assert shown["first"].ruptures(
        "control_chart_l1", "onset_session_number", "lead_component"
    ) == [(1, "none")]
    assert shown["later"].ruptures("control_chart_l1", "lead_component") == [("bond",)]


@given("4 4 4 =3.6 =3.8", name="reached")
@given("4 4 4 =3.6001", name="missed")
@given("4 4 4 =3.6 =3.7999", name="not repaired")
@given("4 4 =3.6", name="two earlier")
@given("=6 =6 =6 =5.4 =5.7", "WAI-S", name="WAI-S")
@given("=38 =38 =38 =34 =36", "SRS", name="SRS")
def test_prior_mean_z_takes_at_least_a_fifth_of_u_as_spread(shown: Shown) -> None:
    """`prior_mean_z`: (B − xₜ) ÷ s ≥ 2; s = max(sample SD of those, 0.2·u); R = B − 1·s;
    B = mean of all earlier scores outside ruptures (≥ 3)."""
    assert courses(shown["reached"], "prior_mean_z") == [(4, "resolved", "v", 1)]
    assert onsets(shown["missed"], "prior_mean_z") == []
    assert courses(shown["not repaired"], "prior_mean_z") == [
        (4, "pending", None, None)
    ]
    assert onsets(shown["two earlier"], "prior_mean_z") == []
    assert courses(shown["WAI-S"], "prior_mean_z") == [(4, "resolved", "v", 1)]
    assert courses(shown["SRS"], "prior_mean_z") == [(4, "resolved", "v", 1)]


@given("3.5 4 4.5 3 3.5 2.75", name="reached")
@given("3.5 4 4.5 =3.01", name="missed")
def test_prior_mean_z_measures_by_the_clients_own_spread(shown: Shown) -> None:
    """`prior_mean_z`: of 3.5, 4, 4.5 the mean is 4 and s 0.5, so 3 is two s below and 3.5
    repairs; next B = mean of 3.5, 4, 4.5 and the repair 3.5, without the rupture."""
    first, second = shown["reached"].ruptures(
        "prior_mean_z", "onset_session_number", "baseline", "drop_size", "status"
    )
    assert first == (4, 4.0, 1.0, "resolved")
    assert second == (6, 3.875, 1.125, "pending")
    assert onsets(shown["missed"], "prior_mean_z") == []


@given("5/4/3 3/4/5 3/4/5 3/3/3")
def test_the_reference_of_prior_mean_z_is_every_score_behind_it(shown: Shown) -> None:
    """Reference sessions: the session(s) B is made of: the bond fell from 4.33 to 3."""
    assert shown.ruptures("prior_mean_z", "lead_component") == [("bond",)]


@given("4.5 4.25 4.0 3.75 4.25", name="steps")
@given("=4.5 =4.2 =3.8 =4.15", name="reached")
@given("=4.5 =4.2 =3.8001", name="missed")
@given("=4.5 =4.2 =3.8 =4.1499", name="not repaired")
@given("4.5 4.25 4.25 3.75", name="broken by a standstill")
@given("4.5 3.75", name="two scores")
def test_gumz_decline_adds_up_an_unbroken_run_of_decreases(shown: Shown) -> None:
    """`gumz_decline`: B = xₚ, start of the unbroken run of decreases that ends at t;
    xₚ − xₜ ≥ T; T = max(sample SD of the whole series, SDref); R = B − 0.5·T; minimum 3
    scores. With T = 0.70: 4.5 − 0.70 = 3.8, and R = 4.15."""
    assert shown["steps"].ruptures(
        "gumz_decline", "onset_session_number", "baseline", "drop_size", "status"
    ) == [(4, 4.5, 0.75, "resolved")]
    assert courses(shown["reached"], "gumz_decline") == [(3, "resolved", "v", 1)]
    assert onsets(shown["missed"], "gumz_decline") == []
    assert courses(shown["not repaired"], "gumz_decline") == [
        (3, "pending", None, None)
    ]
    assert onsets(shown["broken by a standstill"], "gumz_decline") == []
    assert onsets(shown["two scores"], "gumz_decline") == []


@given("5 4.25 4.75 4.25 3.75")
def test_a_run_of_decreases_restarts_at_a_repair(shown: Shown) -> None:
    """A run restarts at a repair score: 4.75 repairs (R = 4.65), and the next run starts
    there, so B is 4.75 and not 5."""
    assert shown.ruptures("gumz_decline", "onset_session_number", "baseline") == [
        (2, 5.0),
        (5, 4.75),
    ]


@given("5 2 5 2 5 4", name="wide")
@given("4/4/5 4/4/4 4/3/3.5", name="lead")
def test_gumz_decline_asks_more_of_a_client_who_varies_more(shown: Shown) -> None:
    """`gumz_decline`: T = the sample SD of the whole series, 1.472, where that is more
    than SDref: a decrease of 1 is none. Its reference is the start of the run."""
    assert onsets(shown["wide"], "gumz_decline") == [2, 4]
    assert shown["lead"].ruptures(
        "gumz_decline", "onset_session_number", "lead_component"
    ) == [(3, "bond")]


@given("4.5 4.5 4.5 3.0 3.0 3.75", name="reached")
@given("4.5 4.5 4.5 3.0 3.0 3.5", name="not repaired")
@given("4.5 4.5 3.0 3.0", name="two and two")
@given("4.5 3.0 3.0 3.0", name="one before")
@given("4.5 4.5 4.5 3.0", name="one after")
@given("4.5 4.5 3.0", name="three scores")
def test_sudden_drop_asks_for_two_scores_on_each_side(shown: Shown) -> None:
    """`sudden_drop`: before = last up to 3 scores ending at t−1, after = first up to 3
    starting at t, at least 2 each; minimum 4; R = B − 0.5·(B − xₜ) = 3.75."""
    assert courses(shown["reached"], "sudden_drop") == [(4, "resolved", "u", 2)]
    assert courses(shown["not repaired"], "sudden_drop") == [(4, "pending", None, None)]
    assert onsets(shown["two and two"], "sudden_drop") == [3]
    assert onsets(shown["one before"], "sudden_drop") == []
    assert onsets(shown["one after"], "sudden_drop") == []
    assert onsets(shown["three scores"], "sudden_drop") == []


@given("=3 =3 =3 =2.3864 =2.3864", name="RC reached")
@given("=3 =3 =3 =2.3865 =2.3865", name="RC missed")
@given("=4.5 =4.5 =4.5 =3.625 =3.625", name="quarter reached")
@given("=4.5 =4.5 =4.5 =3.6251 =3.6251", name="quarter missed")
@given("=40 =40 =40 =30 =30", "SRS", name="SRS reached")
@given("=40 =40 =40 =30.1 =30.1", "SRS", name="SRS missed")
def test_sudden_drop_is_large_in_itself_and_for_the_scale(shown: Shown) -> None:
    """`sudden_drop`: (a) B − xₜ ≥ RC; (b) B − xₜ ≥ 0.25·(B − scale minimum); scale
    minimum: 1, 1, 0."""
    assert onsets(shown["RC reached"], "sudden_drop") == [4]
    assert onsets(shown["RC missed"], "sudden_drop") == []
    assert onsets(shown["quarter reached"], "sudden_drop") == [4]
    assert onsets(shown["quarter missed"], "sudden_drop") == []
    assert onsets(shown["SRS reached"], "sudden_drop") == [4]
    assert onsets(shown["SRS missed"], "sudden_drop") == []


@given("=4.23239 =3.76761 =3 =3", name="2 df reached")
@given("=4.2325 =3.7675 =3 =3", name="2 df missed")
@given("=4.4216 =3.5784 =4 =3 =3", name="3 df reached")
@given("=4.4217 =3.5783 =4 =3 =3", name="3 df missed")
@given("=4.6239 =3.3761 =4 =3 =3 =3", name="4 df reached")
@given("=4.6240 =3.3760 =4 =3 =3 =3", name="4 df missed")
def test_sudden_drop_passes_a_t_test(shown: Shown) -> None:
    """`sudden_drop` (c): t = (m₁ − m₂) ÷ (s_p·√(1/n₁ + 1/n₂)) with pooled s_p, at least
    4.303, 3.182, 2.776 for 2, 3, 4 degrees of freedom."""
    assert onsets(shown["2 df reached"], "sudden_drop") == [3]
    assert onsets(shown["2 df missed"], "sudden_drop") == []
    assert onsets(shown["3 df reached"], "sudden_drop") == [4]
    assert onsets(shown["3 df missed"], "sudden_drop") == []
    assert onsets(shown["4 df reached"], "sudden_drop") == [4]
    assert onsets(shown["4 df missed"], "sudden_drop") == []


# --- D3. PSQ and SRS ----------------------------------------------------------------


@given("0 1:3:1 0", "PSQ", name="later")
@given("1:2:4 0", "PSQ", name="at once")
@given("1:2:3 1:2:3 1:2:4", "PSQ", name="talked through")
@given("1:5:1", "PSQ", name="open")
@given("0 0 0", "PSQ", name="none")
def test_psq_direct_believes_the_client(shown: Shown) -> None:
    """`psq_direct`: client `PSQ` with `P_TENSION` = 1. Same-session repair: `P_RESOLVED`
    ≥ 4 on the onset form → resolved, `sessions_to_repair` 0, shape `v`. Otherwise repaired
    at the first later form with `P_TENSION` = 0 or `P_RESOLVED` ≥ 4, which does not itself
    open a rupture."""
    assert courses(shown["later"], "psq_direct") == [(2, "resolved", "v", 1)]
    assert courses(shown["at once"], "psq_direct") == [(1, "resolved", "v", 0)]
    assert courses(shown["talked through"], "psq_direct") == [(1, "resolved", "u", 2)]
    assert courses(shown["open"], "psq_direct") == [(1, "pending", None, None)]
    assert courses(shown["none"], "psq_direct") == []
    assert shown["at once"].ruptures("psq_direct", "repair_session_number") == [(1,)]


@given("1:2:4 1:2:4 1:2:3", "PSQ")
def test_tension_repaired_in_its_session_leaves_the_next_form_free(
    shown: Shown,
) -> None:
    """Same-session repair: three forms with tension are three ruptures, when each before
    was resolved in its own session."""
    assert onsets(shown, "psq_direct") == [1, 2, 3]


@given("1:3:1", "PSQ", name="three")
@given("1:2:1", "PSQ", name="two")
@given("1::1", "PSQ", name="not said")
def test_psq_direct_is_likely_from_an_intensity_of_three(shown: Shown) -> None:
    """Strength: likely when `P_INTENSITY` ≥ 3. Scores and ratios null, lead `none`,
    instrument `PSQ`."""
    assert shown["three"].ruptures("psq_direct", "strength") == [("likely",)]
    assert shown["two"].ruptures("psq_direct", "strength") == [("possible",)]
    assert shown["not said"].ruptures("psq_direct", "strength") == [("possible",)]
    assert shown["three"].ruptures(
        "psq_direct", "instrument", "baseline", "onset_score", "trough_score",
        "drop_size", "drop_ratio", "lead_component",
    ) == [("PSQ", None, None, None, None, None, "none")]  # fmt: skip


@given(":4:1 1:3:1 :3:5 7:3:5 0.5 1:3:1 1:3:1", "PSQ")
def test_a_psq_without_the_question_of_tension_is_in_no_series(shown: Shown) -> None:
    """Series = used client PSQ forms with `P_TENSION` answered: an empty one, 7 and 0.5
    are not, and repair nothing."""
    assert courses(shown, "psq_direct") == [(2, "pending", None, None)]
    assert shown.cohort("psq_direct", "n_scores") == (3,)


@given("1:3:1 0@T2 1:3:1@T2 1:3:1 1:3:1 1:3:1", "PSQ")
def test_psq_direct_has_one_series_for_each_therapist(shown: Shown) -> None:
    """`psq_direct`: one series for each therapist."""
    assert courses(shown, "psq_direct") == [
        (1, "unresolved", "l", None),
        (3, "pending", None, None),
    ]


def _therapists_own_form(clinic: Clinic, client: str) -> None:
    session = clinic.session(client, "2026-06-22")
    clinic.form(client, "PSQ", "2026-06-22", {"P_TENSION": 1}, rater="therapist",
                session=session)  # fmt: skip


@given(_therapists_own_form)
def test_psq_direct_asks_the_client_alone(shown: Shown) -> None:
    """Client `PSQ` with `P_TENSION` = 1: the therapist's form opens nothing."""
    assert onsets(shown, "psq_direct") == []
    assert shown.cohort("psq_direct", "pattern", "n_scores") == ("insufficient", 0)


@given("36 40", "SRS", name="total")
@given("9.1/9/9/9 40", "SRS", name="no concern")
@given("9.9/9.9/8.99/9.9 9/9/9.1/9", "SRS", name="item")
@given("9.9/9.9/9.9/8.99 8.99/9.9/9.9/9.9", "SRS", name="overall")
@given("=36 =36.1", "SRS", name="reported")
def test_srs_concern_is_a_low_total_or_a_low_item(shown: Shown) -> None:
    """`srs_concern`: SRS total ≤ 36 or any item < 9 cm; repaired by a total without
    concern; from the first form on."""
    assert courses(shown["total"], "srs_concern") == [(1, "resolved", "v", 1)]
    assert courses(shown["no concern"], "srs_concern") == []
    assert courses(shown["item"], "srs_concern") == [(1, "resolved", "v", 1)]
    assert courses(shown["overall"], "srs_concern") == [(1, "pending", None, None)]
    assert courses(shown["reported"], "srs_concern") == [(1, "resolved", "v", 1)]


@given("9.9/9/9.9/8.9 30 38.0 34", "SRS")
def test_srs_concern_publishes_totals_and_no_drop(shown: Shown) -> None:
    """`srs_concern`: `onset_score`, `trough_score` are totals; baseline, drop null;
    likely when the total ≤ 36, else possible."""
    assert shown.ruptures(
        "srs_concern", "onset_session_number", "instrument", "onset_score",
        "trough_score", "baseline", "drop_size", "drop_ratio", "strength",
    ) == [
        (1, "SRS", pytest.approx(37.7), 30.0, None, None, None, "possible"),
        (4, "SRS", 34.0, 34.0, None, None, None, "likely"),
    ]  # fmt: skip


@given("9/8/7/5", "SRS", name="bond")
@given("9/7/7/5", "SRS", name="tie")
@given("8.5/8.5/8.5/5", "SRS", name="all alike")
@given("=30", "SRS", name="reported")
def test_srs_concern_is_led_by_the_lowest_item(shown: Shown) -> None:
    """Lead = lowest of goal, task, bond at onset (tie: that order)."""
    assert {name: shown[name].ruptures("srs_concern", "lead_component")
            for name in ("bond", "tie", "all alike", "reported")} == {
        "bond": [("bond",)], "tie": [("task",)], "all alike": [("goal",)],
        "reported": [("none",)]}  # fmt: skip


@given("4 4 4 3")
def test_no_number_mixes_methods(shown: Shown) -> None:
    """All enabled, same engine and columns, published side by side; no number mixes
    methods."""
    found = shown.of(
        "select distinct method from alliance.rupture_cohort join core.fct_episode"
        " using (episode_key) where client_key = @ order by 1"
    )
    assert [method for (method,) in found] == [
        "abs_drop", "adjacent_rci", "control_chart_l1", "control_chart_l2",
        "control_chart_l3", "default_rc3", "gumz_decline", "prior_mean_z",
        "psq_direct", "srs_concern", "sudden_drop", "v_shape_sd"]  # fmt: skip
