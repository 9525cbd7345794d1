"""The chapters of the specification, in the order of the measurement page."""

CHAPTERS = (
    "test_a_scoring",
    "test_b_sessions",
    "test_c_alliance",
    "test_d_ruptures",
    "test_h_cohorts",
    "test_i_signals",
)
