"""The planted faults of the quality tables (schema qi), as in ``faults.py``.

Each leaves every other check of these tables whole: a row that is hidden alone is hidden
whole, a row that comes twice hides nobody.
"""

from collections.abc import Sequence

_FIRST = "rowid = (select min(rowid) from {} where {})"


def _one(table: str, said: str, where: str) -> str:
    return f"update {table} set {said} where {_FIRST.format(table, where)}"


def _again(table: str, where: str = "rowid = 0") -> str:
    return f"insert into {table} select * from {table} where {where}"


def _lone(table: str, keys: str, columns: Sequence[str], where: str) -> str:
    """Hide one shown part of a total none of whose parts is hidden."""
    nothing = ", ".join(f"{column} = null" for column in columns)
    whole = (
        f"({keys}) in (select ({keys}) from {table} group by {keys}"
        " having not bool_or(suppressed))"
    )
    said = f"suppressed = true, partly_suppressed = false, {nothing}"
    return _one(table, said, f"{where} and {whole}")


_MONTH = "form = 'alliance_client' and month = (select max(month) from qi.completion_monthly)"

# In a clinic as small as the sample nothing of these is shown: it is first.
_FUNNEL_SHOWN = (
    "update qi.clinic_funnel set suppressed = false, partly_suppressed = false,"
    " n_clients = 12, numerator = 6, denominator = 12, value = 0.5"
    " where indicator = 'repair'"
)
_FUNNEL_FIRST = _FIRST.format("qi.clinic_funnel", "indicator = 'repair'")

QUALITY_FAULTS: dict[str, str | list[str]] = {
    "qi_alliance_monthly_one_row_a_key": _again(
        "qi.alliance_monthly", _FIRST.format("qi.alliance_monthly", "not suppressed")
    ),
    "qi_alliance_monthly_counts_and_shares_agree": _one(
        "qi.alliance_monthly",
        "n_episodes = n_sessions + 1",
        "not suppressed",
    ),
    "qi_alliance_monthly_hidden_rows_are_empty": _one(
        "qi.alliance_monthly", "n_clients = 3", "suppressed"
    ),
    "qi_alliance_monthly_spine_is_complete": "delete from qi.alliance_monthly where rowid = (select min(rowid) from qi.alliance_monthly where not suppressed and clinic_key <> 'all')",
    "qi_alliance_monthly_shows_the_whole": "update qi.alliance_monthly set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_alliance_monthly_hides_no_row_alone": _lone(
        "qi.alliance_monthly",
        "month, instrument, rater, component",
        [
            "n_clients",
            "n_sessions",
            "n_episodes",
            "mean_score",
            "median_score",
            "sd_score",
            "n_weak",
            "n_moderate",
            "n_strong",
            "n_in_open_rupture",
        ],
        "clinic_key <> 'all'",
    ),
    "qi_completion_monthly_one_row_a_key": _again(
        "qi.completion_monthly",
        _FIRST.format("qi.completion_monthly", "not suppressed"),
    ),
    "qi_completion_monthly_counts_and_shares_agree": _one(
        "qi.completion_monthly", "n_none = n_sessions + 1", "not suppressed"
    ),
    "qi_completion_monthly_hidden_rows_are_empty": _one(
        "qi.completion_monthly", "n_clients = 3", "suppressed"
    ),
    "qi_completion_monthly_spine_is_complete": "delete from qi.completion_monthly where rowid = (select min(rowid) from qi.completion_monthly where not suppressed and clinic_key <> 'all')",
    "qi_completion_monthly_shows_the_whole": "update qi.completion_monthly set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_completion_monthly_hides_no_row_alone": [
        # In a small clinic most months are hidden with their whole: one is shown first.
        f"update qi.completion_monthly set suppressed = false where {_MONTH}",
        "update qi.completion_monthly set suppressed = true, partly_suppressed = false,"
        " n_clients = null, n_sessions = null, n_complete = null, n_invalid = null,"
        f" n_none = null, completion = null where {_MONTH} and clinic_key = (select"
        " min(clinic_key) from qi.completion_monthly where clinic_key <> 'all')",
    ],
    "qi_rupture_repair_monthly_one_row_a_key": _again(
        "qi.rupture_repair_monthly",
        _FIRST.format("qi.rupture_repair_monthly", "not suppressed"),
    ),
    "qi_rupture_repair_monthly_counts_and_shares_agree": _one(
        "qi.rupture_repair_monthly", "n_likely = n_ruptures + 1", "not suppressed"
    ),
    "qi_rupture_repair_monthly_hidden_rows_are_empty": _one(
        "qi.rupture_repair_monthly", "n_clients = 3", "suppressed"
    ),
    "qi_rupture_repair_monthly_spine_is_complete": "delete from qi.rupture_repair_monthly where rowid = (select min(rowid) from qi.rupture_repair_monthly where not suppressed and clinic_key <> 'all')",
    "qi_rupture_repair_monthly_shows_the_whole": "update qi.rupture_repair_monthly set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_rupture_repair_monthly_hides_no_row_alone": _lone(
        "qi.rupture_repair_monthly",
        "month, method, instrument, lead_component",
        [
            "n_clients",
            "n_scored_sessions",
            "n_ruptures",
            "n_likely",
            "ruptures_per_100",
            "n_settled",
            "n_pending",
            "n_resolved",
            "n_late_repair",
            "n_unresolved",
            "n_unresolved_at_close",
            "repaired_share",
            "median_sessions_to_repair",
        ],
        "clinic_key <> 'all'",
    ),
    "qi_outcome_monthly_one_row_a_key": _again(
        "qi.outcome_monthly", _FIRST.format("qi.outcome_monthly", "not suppressed")
    ),
    "qi_outcome_monthly_counts_and_shares_agree": _one(
        "qi.outcome_monthly", "n_paired = n_closed + 1", "not suppressed"
    ),
    "qi_outcome_monthly_hidden_rows_are_empty": _one(
        "qi.outcome_monthly", "n_clients = 3", "suppressed"
    ),
    "qi_outcome_monthly_spine_is_complete": "delete from qi.outcome_monthly where rowid = (select min(rowid) from qi.outcome_monthly where not suppressed and clinic_key <> 'all')",
    "qi_outcome_monthly_shows_the_whole": "update qi.outcome_monthly set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_outcome_monthly_hides_no_row_alone": _lone(
        "qi.outcome_monthly",
        "month, instrument",
        [
            "n_clients",
            "n_closed",
            "n_paired",
            "paired_share",
            "n_improved",
            "n_deteriorated",
            "n_no_change",
            "improved_share",
            "deteriorated_share",
            "mean_change",
            "sd_change",
            "n_at_risk",
            "n_recovered",
            "recovered_share",
        ],
        "clinic_key <> 'all'",
    ),
    "qi_endings_one_row_a_key": _again(
        "qi.endings", _FIRST.format("qi.endings", "not suppressed")
    ),
    "qi_endings_counts_and_shares_agree": _one(
        "qi.endings", "n_closed = n_closed + 1", "not suppressed"
    ),
    "qi_endings_hidden_rows_are_empty": _one(
        "qi.endings", "n_clients = 3", "suppressed"
    ),
    "qi_endings_spine_is_complete": "delete from qi.endings where rowid = (select min(rowid) from qi.endings where not suppressed and clinic_key <> 'all' and pattern <> 'all')",
    "qi_endings_shows_the_whole": "update qi.endings set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_endings_hides_no_row_alone": _lone(
        "qi.endings",
        "month, pattern",
        [
            "n_clients",
            "n_closed",
            "n_completed",
            "n_dropped_out",
            "n_referred",
            "n_transferred",
            "n_declined",
            "n_deceased",
            "n_other",
            "n_unknown",
            "n_dropout_known",
            "n_dropout",
            "dropout_share",
            "median_attended",
        ],
        "clinic_key <> 'all' and pattern <> 'all'",
    ),
    "qi_early_alliance_one_row_a_key": _again(
        "qi.early_alliance", _FIRST.format("qi.early_alliance", "not suppressed")
    ),
    "qi_early_alliance_counts_and_shares_agree": _one(
        "qi.early_alliance",
        "n_clients = 12, n_episodes = 12, n_ended = 12, n_dropout = 24,"
        " dropout_share = 2",
        "not suppressed and n_clients = 0",
    ),
    "qi_early_alliance_hidden_rows_are_empty": _one(
        "qi.early_alliance", "n_clients = 3", "suppressed"
    ),
    "qi_early_alliance_spine_is_complete": "delete from qi.early_alliance where rowid = (select min(rowid) from qi.early_alliance where not suppressed and clinic_key <> 'all' and band <> 'all')",
    "qi_early_alliance_shows_the_whole": "update qi.early_alliance set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_early_alliance_hides_no_row_alone": _lone(
        "qi.early_alliance",
        "period_start, band",
        [
            "n_clients",
            "n_episodes",
            "n_ended",
            "n_dropout",
            "dropout_share",
            "n_outcome",
            "n_improved",
            "improved_share",
            "n_banded",
            "n_weak",
            "weak_share",
        ],
        "clinic_key <> 'all' and band <> 'all'",
    ),
    "qi_stall_by_component_one_row_a_key": _again(
        "qi.stall_by_component",
        _FIRST.format("qi.stall_by_component", "not suppressed"),
    ),
    "qi_stall_by_component_counts_and_shares_agree": _one(
        "qi.stall_by_component",
        "n_reviewed = n_spells + 1",
        "not suppressed",
    ),
    "qi_stall_by_component_hidden_rows_are_empty": _one(
        "qi.stall_by_component", "n_clients = 3", "suppressed"
    ),
    "qi_stall_by_component_spine_is_complete": "delete from qi.stall_by_component where rowid = (select min(rowid) from qi.stall_by_component where not suppressed and clinic_key <> 'all' and component <> 'all')",
    "qi_stall_by_component_shows_the_whole": "update qi.stall_by_component set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_stall_by_component_hides_no_row_alone": _lone(
        "qi.stall_by_component",
        "period_start, instrument, component",
        [
            "n_clients",
            "n_spells",
            "n_reviewed",
            "n_open",
            "n_settled",
            "n_resumed",
            "resumed_share",
            "median_sessions_to_resume",
            "n_reviewed_settled",
            "n_reviewed_resumed",
            "reviewed_resumed_share",
            "n_unreviewed_settled",
            "n_unreviewed_resumed",
            "unreviewed_resumed_share",
        ],
        "clinic_key <> 'all' and component <> 'all'",
    ),
    "qi_strengthening_after_rupture_one_row_a_key": _again(
        "qi.strengthening_after_rupture",
        _FIRST.format("qi.strengthening_after_rupture", "not suppressed"),
    ),
    "qi_strengthening_after_rupture_counts_and_shares_agree": _one(
        "qi.strengthening_after_rupture",
        "n_ruptures = -1",
        "not suppressed",
    ),
    "qi_strengthening_after_rupture_hidden_rows_are_empty": _one(
        "qi.strengthening_after_rupture", "n_clients = 3", "suppressed"
    ),
    "qi_strengthening_after_rupture_spine_is_complete": "delete from qi.strengthening_after_rupture where rowid = (select min(rowid) from qi.strengthening_after_rupture where not suppressed and clinic_key <> 'all' and work <> 'all')",
    "qi_strengthening_after_rupture_shows_the_whole": "update qi.strengthening_after_rupture set clinic_key = 'unknown' where clinic_key = 'all'",
    "qi_strengthening_after_rupture_hides_no_row_alone": _lone(
        "qi.strengthening_after_rupture",
        "period_start, work",
        [
            "n_clients",
            "n_ruptures",
            "n_settled",
            "n_repaired",
            "repaired_share",
            "median_sessions_to_repair",
        ],
        "clinic_key <> 'all' and work <> 'all'",
    ),
    "qi_clinic_funnel_one_row_a_key": _again(
        "qi.clinic_funnel", _FIRST.format("qi.clinic_funnel", "not suppressed")
    ),
    "qi_clinic_funnel_counts_and_shares_agree": [
        _FUNNEL_SHOWN,
        f"update qi.clinic_funnel set value = 2 where {_FUNNEL_FIRST}",
    ],
    "qi_clinic_funnel_hidden_rows_are_empty": _one(
        "qi.clinic_funnel", "n_clients = 3", "suppressed"
    ),
    "qi_clinic_funnel_hides_no_row_alone": [
        _FUNNEL_SHOWN,
        "update qi.clinic_funnel set suppressed = true, n_clients = null,"
        " numerator = null, denominator = null, value = null, target = null,"
        " n_clinics = null, ll95 = null, ul95 = null, ll998 = null, ul998 = null,"
        " phi = null, tau2 = null, adjusted = null, od_ll95 = null, od_ul95 = null,"
        f" od_ll998 = null, od_ul998 = null, position = null where {_FUNNEL_FIRST}",
    ],
    "qi_equity_one_row_a_key": _again(
        "qi.equity", _FIRST.format("qi.equity", "not suppressed")
    ),
    "qi_equity_counts_and_shares_agree": _one(
        "qi.equity", "value = 2", "not suppressed and value is not null"
    ),
    "qi_equity_hidden_rows_are_empty": _one("qi.equity", "n_clients = 3", "suppressed"),
    "qi_equity_hides_no_row_alone": _lone(
        "qi.equity",
        "dimension, indicator",
        [
            "n_clients",
            "numerator",
            "denominator",
            "value",
            "ci_low",
            "ci_high",
            "overall_value",
            "difference",
        ],
        "true",
    ),
    "qi_method_comparison_one_row_a_key": _again(
        "qi.method_comparison", _FIRST.format("qi.method_comparison", "not suppressed")
    ),
    "qi_method_comparison_counts_and_shares_agree": _one(
        "qi.method_comparison", "agreement = 2", "not suppressed"
    ),
    "qi_method_comparison_hidden_rows_are_empty": _one(
        "qi.method_comparison", "suppressed = true", "not suppressed"
    ),
    "qi_clinic_funnel_limits_are_ordered": [
        _FUNNEL_SHOWN,
        "update qi.clinic_funnel set ll998 = 0.1, ll95 = 0.99, ul95 = 0.8, ul998 = 0.9,"
        f" position = 'inside' where {_FUNNEL_FIRST}",
    ],
    "qi_tables_cover_the_same_months": "delete from qi.endings where month = (select max(month) from qi.endings)",
    "qi_tables_name_no_therapist": "alter table qi.endings add column therapist_key varchar",
    "qi_spc_series_one_row_a_key": _again("qi.spc_series"),
    "qi_spc_point_one_row_a_key": _again("qi.spc_point"),
    "qi_spc_series_has_limits_or_a_reason": _one(
        "qi.spc_series", "reason = null", "limits = 'none'"
    ),
    "qi_spc_point_limits_are_ordered": _one(
        "qi.spc_point",
        "limits = 'trial', cl = 0.5, lcl = 0.9, lo2 = 0.4, hi2 = 0.6, ucl = 0.7,"
        " rule = 'none', icon = 'common_cause'",
        "limits = 'none'",
    ),
    "qi_spc_point_series_exists": _one("qi.spc_point", "segment = 99", "value is null"),
}
