"""The chapters of the specification, in the order of the measurement page."""

CHAPTERS = (
    "test_a_scoring",
    "test_b_sessions",
    "test_c_alliance",
    "test_d_ruptures",
    "test_e_therapist",
    "test_f_congruence",
    "test_f2_goals",
    "test_g_outcomes",
    "test_h_cohorts",
    "test_i_signals",
    "test_j_settings",
    "test_k_edges",
)
