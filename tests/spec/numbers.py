"""The sentences of the measurement page that hold a number, each with the cases that hold it.

A line is: section, the sentence's own words around the number, and after `::` its cases. A
sentence that rules nothing (a source, a reason, a published estimate) says so after `--`.
"""

SENTENCES = """
A   default version 1; SRS 3.0; OQ-45 2 :: instruments_are_normalised_and_versions_pass_through
A1  WAI-SR 1–5, mean of 4, mean of the 3 subscales, RC 0.6136 and 0.9125 :: a_total_is_scored_by_its_rule the_registry_is_published_whole a_drop_of_just_the_reliable_change_is_a_rupture
A1  WAI-S 1–7, reversed 4,10, RC 0.9204 and 1.36875 :: wai_s_reverses_two_goal_and_task_items the_registry_is_published_whole each_instrument_has_its_own_reliable_change
A1  SRS 0–100 mm, mm ÷ 10, sum of items 1–4 ÷ 10, RC 4.80 and 1.20 :: a_total_is_scored_by_its_rule the_registry_is_published_whole each_instrument_has_its_own_reliable_change
A1  SD ref 0.70, 1.05, 5.00 :: v_shape_sd_asks_for_one_standard_deviation
A1  SRS item 4 is the subscale overall :: each_item_of_the_srs_stands_alone
A1  u = range ÷ 4: WAI-SR 1, WAI-S 1.5, SRS 10 :: abs_drop_asks_for_a_quarter_of_the_scale a_unit_is_wider_on_a_wider_scale
A1  RC = 1.96·√2·SD·√(1−α) -- how the values were made; the values are above
A1  answered ids exactly 1–10 are the ten-item WAI-SRT :: the_ten_item_form_is_never_scored_with_the_twelve_item_key
A2  PCL-5 items 1–20, 0–4, subscales, ≤4 missing, b, d, e ≤1, c 0 :: a_total_is_scored_by_its_rule missing_items_are_prorated_up_to_the_rule the_subscales_of_a_form_are_all_there
A2  PCL-5 ≥ 33, ≤ 28, 15 :: the_registry_is_published_whole the_clinical_class_is_the_first_that_holds a_stall_needs_all_three
A2  PHQ-9 1–9, 0–3, ≤2 missing, ≥ 10, < 10, 6 :: a_total_is_scored_by_its_rule missing_items_are_prorated_up_to_the_rule the_registry_is_published_whole
A2  GAD-7 1–7, 0–3, ≤1 missing, ≥ 8, < 8, 4 :: a_total_is_scored_by_its_rule missing_items_are_prorated_up_to_the_rule the_registry_is_published_whole
A2  CORE-10 1–10, 0–4, reversed 2,3, ≤1 missing, ≥ 11, < 11, 6 :: a_total_is_scored_by_its_rule missing_items_are_prorated_up_to_the_rule the_registry_is_published_whole
A2  OQ-45 1–45, 0–4, ir, sr, sd, sd ≤2, ir ≤1, sr ≤1, ≥ 64, ≤ 63, 14 :: a_total_is_scored_by_its_rule missing_items_are_prorated_up_to_the_rule the_registry_is_published_whole
A2  ORS 1–4, 0–100 mm, none missing, ÷ 10, < 25, ≥ 25, 5 :: a_total_is_scored_by_its_rule the_registry_is_published_whole on_the_ors_lower_is_worse
A2  ITQ P1–P9, C1–C9, ptsd P1–P6, dso C1–C6 :: a_total_is_scored_by_its_rule the_subscales_of_a_form_are_all_there
A3  RAP-T five items 0–4, tension 0/1, 1–5 :: the_columns_hold_the_items any_other_value_is_not_answered
A3  RAP-S each 0/1 :: any_recorded_work_is_a_row
A3  PSQ P_TENSION 0/1, 1–5 :: psq_direct_believes_the_client psq_direct_is_likely_from_an_intensity_of_three
A4  unknown instrument: n_answered 0, n_items and origin null :: instruments_are_normalised_and_versions_pass_through a_rater_outside_the_table_is_wrong
A4  −9, 99, a fraction of an integer item is not answered :: any_other_value_is_not_answered
A4  WAI subscale valid with ≥ 3 of 4; total needs all three :: missing_items_are_prorated_up_to_the_rule the_subscales_of_a_form_are_all_there
A4  no scored item: a total row, n_answered 0 :: the_subscales_of_a_form_are_all_there a_reported_total_counts_within_its_range
A4  sum scales 0–max; SRS, ORS 0–40; WAI-SR 1–5 or 12–60; WAI-S 1–7 or 12–84 :: a_reported_total_counts_within_its_range
A4  a difference > 0.05 is counted; items win :: items_win_over_a_reported_total
B3  numbered 1.. within their episode :: only_attended_sessions_are_numbered
B5  more than 90 days begins another episode; ≤ 90 joins :: ninety_days_are_one_episode_and_ninety_one_are_two a_missed_session_joins_a_derived_episode_within_ninety_days
B5  closed when as-of is more than 90 days after :: a_derived_episode_closes_when_its_gap_is_passed
B8  link.window_days = 3, backwards or both ways :: a_form_finds_its_session
B9  opened − 30 days, last attended + 90 days :: a_form_without_a_session_finds_its_episode_by_date
C   weak < 3, moderate 3 to < 4, strong ≥ 4 :: a_wai_sr_total_is_weak_moderate_or_strong
C   WAI-S 4 and 5.5 :: the_bands_of_the_wai_s_are_on_its_own_scale
C   SRS ≤ 34, > 34 to < 39, ≥ 39 :: the_bands_of_the_srs_are_those_of_pcoms
D1  repaired at one of the W = 3 next valid scores :: a_repair_within_three_scores_is_resolved_and_a_later_one_late
D1  unresolved when 3 or more further scores exist :: what_is_not_repaired_is_unresolved_after_three_scores_or_at_the_close
D1  likely when drop_ratio ≥ 1.5 :: a_drop_of_one_and_a_half_reliable_changes_is_likely
D1  the largest, if > 0 :: the_component_that_dropped_most_leads
D1  method_version 1 :: ruptures_are_the_clients_view_in_version_one
D2  minimum 3; last up to 3, at least 2, earlier scores :: the_default_method_asks_for_three_scores the_baseline_is_the_mean_of_the_last_three_scores the_baseline_leaves_out_a_rupture_and_counts_its_repair
D2  R = B − 0.5·RC :: a_rise_to_just_the_repair_level_repairs
D2  by error alone in about 0.8 % of sessions, 8.5 % of clients -- an estimate: benchmarks/detector.py prints it
D2  Worked: 4.25, 4.25, 4.25, 3.50, 4.00 :: the_worked_example_is_a_resolved_v
D3  adjacent_rci 2, RC, 0.5·RC :: adjacent_rci_compares_with_the_previous_score adjacent_rci_at_its_thresholds
D3  v_shape_sd 2, 1·SDref, 0.25·SDref :: v_shape_sd_asks_for_one_standard_deviation
D3  control charts 5, L·σ, ÷ 1.128 :: a_control_chart_asks_for_five_scores_and_some_movement the_wider_control_charts_fire_less a_score_on_the_control_line_is_not_below_it a_control_chart_rupture_is_repaired_at_the_centre_line
D3  abs_drop 2, 1.0·u, 0.5·u :: abs_drop_asks_for_a_quarter_of_the_scale
D3  prior_mean_z 4, ≥ 3 earlier, ≥ 2, 0.2·u, B − 1·s :: prior_mean_z_takes_at_least_a_fifth_of_u_as_spread prior_mean_z_measures_by_the_clients_own_spread
D3  gumz_decline 3, T, 0.5·T :: gumz_decline_adds_up_an_unbroken_run_of_decreases gumz_decline_asks_more_of_a_client_who_varies_more
D3  sudden_drop 4, RC, 0.25 of the way down, minimum 1, 1, 0 :: sudden_drop_asks_for_two_scores_on_each_side sudden_drop_is_large_in_itself_and_for_the_scale
D3  t at least 4.303, 3.182, 2.776; s_p ≤ 1e-9 :: sudden_drop_passes_a_t_test
D3  psq_direct P_TENSION = 1, P_RESOLVED ≥ 4, 0 sessions :: psq_direct_believes_the_client
D3  P_INTENSITY ≥ 3 is likely :: psq_direct_is_likely_from_an_intensity_of_three
D3  srs_concern ≤ 36, any item < 9 cm :: srs_concern_is_a_low_total_or_a_low_item srs_concern_publishes_totals_and_no_drop
D3  share of steady clients with a rupture in 12 sessions -- an estimate: benchmarks/detector.py prints it
E   at least one of the five 0–4 items :: a_form_without_an_answered_item_is_no_row
E   any item ≥ 3 or a sum ≥ 8 :: a_high_item_or_a_high_sum_is_strain
E   this form and the two before hold at least 2 strained :: two_strained_of_three_forms_are_persistent
E   frustration ≥ 2 or effort ≥ 2, helpless ≥ 2 or self_doubt ≥ 2 :: the_two_experiences_come_in_tandem
E   a used RAP-S form with any item = 1 :: any_recorded_work_is_a_row
F   with ≥ 1 pair :: a_pair_is_a_session_that_both_rated without_a_pair_there_is_no_row
F   ≥ 3 pairs for gap and direction :: fewer_than_three_pairs_have_no_gap
F   ≥ 5 pairs, variance > 1e-12 :: correlation_needs_five_pairs_that_vary
F   0.5·u, −0.5·u :: the_direction_begins_at_half_a_unit
F   |gap| ≥ 1·u twice; false with ≥ 2 pairs :: two_far_pairs_in_a_row_are_a_goal_mismatch
F   T_GOALS ≥ 3 :: unless_the_therapist_noted_it_at_either_session
F2  ≥ 1 row of goals :: later_goals_and_those_of_others_do_not_count
F2  overlap < 0.5 and ≥ 1 revision :: goals_that_differ_despite_a_revision_are_inconsistent
G1  ≥ 1 used valid total; n < 2 is insufficient :: change_is_last_minus_first the_clinical_class_is_the_first_that_holds
G2  at session 3, else 4, 5, 2, 1 :: the_early_alliance_is_that_of_the_third_session_or_near_it
G3  0 if no session before :: a_score_without_a_session_takes_the_last_attended
G3  session ≥ 6; K = 4 scores, < 5 gained; ≥ 33 :: a_stall_needs_all_three
G3  gain ≥ 15, or not clinical :: a_stall_ends_by_a_reliable_gain_or_below_the_cut
G3  why 5 and not RC -- a reason
G3  stall − 3 to stall; subscale 1–5, 1–7, 0–10 :: the_weak_component_is_the_lowest_within_its_range
G3  one of the next 2 attended sessions :: a_review_is_looked_for_in_the_next_two_sessions
G4  more than 60 days before as-of -- held by the unit tests of int_episode__dropout and by the oracle
H   ≥ 1 attended session :: an_episode_without_an_attended_session_is_in_no_cohort
H   session_number 1–26 with ≥ 1 score; sample sd; middle two :: the_trajectory_pools_client_scores_by_session
H   below qi.small_cell_min :: a_cell_of_few_episodes_shows_that_it_is_there_and_no_more a_cell_of_few_clients_is_hidden_however_many_their_episodes
I   gap_days + 1 is the end of a derived episode :: a_derived_episode_ends_when_its_gap_is_passed
I   repair within 3 scores, the third without, two sessions with another :: a_repair_within_three_scores_closes_it the_third_further_score_without_repair_escalates_it two_sessions_with_another_therapist_close_it
I   goal_mismatch at 1·u, T_GOALS ≥ 3 :: two_pairs_with_the_client_lower_open_a_mismatch a_gap_of_exactly_one_unit_is_reached unless_the_therapist_noted_it_at_either_session
I   from session 3, 4 or 5; from 2 or 1 once 5 are attended :: a_weak_third_session_opens from_the_second_only_once_five_are_attended from_the_first_only_when_no_other_has_a_total
I   2 consecutive missed :: two_missed_in_a_row_open_a_disengagement
I   ≥ 28 days, up to d + 14 :: twenty_eight_days_of_silence_open_a_disengagement twenty_seven_days_do_not a_booking_within_fourteen_days_is_contact_planned a_booking_after_fifteen_days_is_not
J   baseline_scores 3, 2 :: the_baseline_takes_as_many_scores_as_are_set
J   repair_fraction 0.5 and reliable change :: reliable_change_and_repair_are_the_clinics_own
J   likely_ratio 1.5, repair_window 3 :: likely_and_late_are_the_clinics_own
J   ranges of settings -- held by tests/unit/test_settings.py
K5  B = 4.0, RC = 0.6136, x = 3.3864; repair at 3.6932 :: ties_at_thresholds_count_as_reached
"""
