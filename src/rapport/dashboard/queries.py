"""What the pages ask the published snapshot. No therapist, no key."""

LAST_RUN = """
select run_id, as_of, started_at from ops.run
where outcome = 'published' order by started_at desc limit 1
"""

THROUGH = """
select max(sessions.session_date) as through
from core.fct_session as sessions
where
    sessions.session_number is not null
    and sessions.session_date <= (
        select max(as_of) from ops.run where outcome = 'published'
    )
"""

# A clinic without a name is known by its state alone; `unknown` stands last.
CLINICS = """
select
    spine.clinic_key,
    case
        when spine.clinic_key = 'unknown' then 'Clinic not known'
        else coalesce(clinics.clinic_name, 'Clinic without a name')
    end as clinic_name
from (
    select distinct clinic_key from qi.completion_monthly where clinic_key <> 'all'
    union
    select clinic_key from core.dim_clinic
) as spine
left join core.dim_clinic as clinics on spine.clinic_key = clinics.clinic_key
order by spine.clinic_key = 'unknown', clinic_name, spine.clinic_key
"""

# Periods are never skipped, so the gap between two of them is the length of each.
COHORT_MONTHS = """
select min(date_diff('month', period_start, next_start)) as months
from (
    select
        period_start,
        lead(period_start) over (order by period_start) as next_start
    from (select distinct period_start from qi.early_alliance)
)
"""

# --- charts over time

# The table that each chart is drawn from: which months are partial, and which have no
# value because it is hidden.
_CHART_SOURCE = """
select
    'completion.' || form as chart_id, clinic_key, month, is_partial,
    suppressed as is_hidden, null as n_values
from qi.completion_monthly
union all
select
    concat_ws('.', 'alliance', instrument, rater, component), clinic_key, month,
    is_partial, suppressed, n_sessions
from qi.alliance_monthly
union all
select
    concat_ws('.', 'rupture_rate', method, instrument), clinic_key, month, is_partial,
    suppressed, null
from qi.rupture_repair_monthly where lead_component = 'all'
union all
select
    concat_ws('.', 'repaired', method, instrument), clinic_key, month, is_partial,
    n_settled is null, null
from qi.rupture_repair_monthly where lead_component = 'all'
union all
select
    concat_ws('.', share, instrument), clinic_key, month, is_partial,
    suppressed or case when share = 'recovered' then n_at_risk else n_paired end is null,
    null
from qi.outcome_monthly
cross join (values ('improved'), ('deteriorated'), ('recovered'), ('paired')) as s (share)
union all
select 'dropout', clinic_key, month, is_partial, n_dropout_known is null, null
from qi.endings where pattern = 'all'
"""

# Only completion is drawn clinic by clinic.
_DRAWN = """
    (
        {name}.clinic_key = 'all'
        and not regexp_matches({name}.chart_id, '^(rupture_rate|repaired)\\.')
        or {name}.clinic_key = 'all'
        and split_part({name}.chart_id, '.', 2) = 'default_rc3'
        or {name}.chart_id like 'completion.%'
    )
"""

CHART_POINTS = f"""
with source as ({_CHART_SOURCE})
select
    points.*,
    coalesce(source.n_values, points.denominator) as n,
    case when points.used and points.denominator is null then
        abs(points.value - lag(points.value) over (
            partition by
                points.chart_id, points.clinic_key, points.segment, points.used
            order by points.month
        ))
    end as moving_range,
    coalesce(source.is_partial, false) as is_partial,
    points.value is null and coalesce(source.is_hidden, false) as is_hidden,
    case when points.used then 'yes' when not points.used then 'no' end as counts
from qi.spc_point as points
left join source
    on points.chart_id = source.chart_id
    and points.clinic_key = source.clinic_key
    and points.month = source.month
where {_DRAWN.format(name="points")}
order by points.chart_id, points.clinic_key, points.month
"""

# On which side of the median the longest run of a run chart lies; the later of two.
LONGEST_RUN = """
with used as (
    select
        points.chart_id, points.clinic_key, points.segment, points.month,
        round(points.value, 9) > round(series.run_median, 9) as is_above
    from qi.spc_point as points
    inner join qi.spc_series as series
        on points.chart_id = series.chart_id
        and points.clinic_key = series.clinic_key
        and points.segment = series.segment
    where
        points.used and series.run_signal
        and round(points.value, 9) <> round(series.run_median, 9)
),
numbered as (
    select
        *,
        row_number() over (
            partition by chart_id, clinic_key, segment order by month
        ) - row_number() over (
            partition by chart_id, clinic_key, segment, is_above order by month
        ) as run
    from used
),
runs as (
    select
        chart_id, clinic_key, segment, is_above,
        count(*) as n_points, max(month) as last_month
    from numbered group by chart_id, clinic_key, segment, is_above, run
)
select
    chart_id, clinic_key, segment,
    case when is_above then 'above' else 'below' end as longest_side
from runs
qualify row_number() over (
    partition by chart_id, clinic_key, segment order by n_points desc, last_month desc
) = 1
"""

CHART_SERIES = f"""
with longest as ({LONGEST_RUN})
select
    series.*, longest.longest_side,
    case when series.kind = 'xmr' then 3.267 * series.mr_bar end as range_limit
from qi.spc_series as series
left join longest
    on series.chart_id = longest.chart_id
    and series.clinic_key = longest.clinic_key
    and series.segment = longest.segment
where {_DRAWN.format(name="series")}
order by series.chart_id, series.clinic_key, series.segment
"""

HAS_BASELINE_CORRECTIONS = """
select 1 as found from duckdb_tables()
where schema_name = 'ops' and table_name = 'baseline_correction'
"""

BASELINE_CORRECTIONS = """
select chart_id, clinic_key, max(corrected_on) as corrected_on
from ops.baseline_correction group by chart_id, clinic_key
"""

# In the order of the digest: clinics by name, the unknown one last, then the signals'.
SIGNALS = """
select
    signals.signal_key,
    signals.signal,
    kinds.position,
    signals.instrument,
    signals.episode_key,
    signals.client_key,
    coalesce(signals.clinic_key, 'unknown') as clinic_key,
    coalesce(clinics.clinic_name, 'unknown') as clinic_name,
    signals.opened_on,
    signals.closed_on,
    signals.closed_reason,
    signals.evidence
from outcomes.fct_care_signal as signals
inner join outcomes.dim_care_signal as kinds on signals.signal = kinds.signal
left join core.dim_clinic as clinics on signals.clinic_key = clinics.clinic_key
order by
    clinics.clinic_name is null,
    clinics.clinic_name,
    signals.clinic_key nulls last,
    kinds.position,
    signals.opened_on,
    signals.signal_key
"""

# The night that a digest is held against: the last published one of an earlier date; on
# the first date of all, an earlier run of that date.
NIGHT_BEFORE = """
select as_of, started_at from ops.run
where
    outcome = 'published'
    and (as_of < $as_of or (as_of = $as_of and run_id <> $run))
order by as_of < $as_of desc, as_of desc, started_at desc
limit 1
"""

# What that night showed: the last entry of each signal up to it.
SIGNALS_BEFORE = f"""
with night_before as ({NIGHT_BEFORE}),
ranked as (
    select
        entries.*,
        row_number() over (
            partition by entries.signal_key order by entries.as_of desc, entries.run_id desc
        ) as choice
    from ops.signal_log as entries
    cross join night_before
    where
        entries.as_of <= night_before.as_of
        and (entries.as_of < $as_of or entries.run_id <> $run)
)
select signal_key, closed_on is null as was_open from ranked where choice = 1
"""

ERASED_SINCE = """
select coalesce(sum(n_signals), 0) from ops.signal_erasure
where erased_at > $since
"""

# --- pages

COMPLETION = """
select * from qi.completion_monthly order by form, clinic_key, month
"""

ALLIANCE = """
select * from qi.alliance_monthly
where clinic_key = 'all' and component = 'total'
order by instrument, rater, month
"""


def _interval(name: str, x: str, n: str) -> str:
    """Return two columns: the ends of the 95 % interval of x out of n (Wilson 1927)."""
    middle = f"({x} + 1.920729440648)"
    half = (
        f"1.959964 * sqrt({x} * ({n} - {x}) / nullif({n}, 0)::double + 0.960364720324)"
    )
    width = f"({n} + 3.841458881296)"
    return (
        f"greatest(({middle} - {half}) / {width}, 0) as {name}_low,"
        f" least(({middle} + {half}) / {width}, 1) as {name}_high"
    )


EARLY = f"""
select
    *,
    {_interval("dropout", "n_dropout", "n_ended")},
    {_interval("improved", "n_improved", "n_outcome")},
    {_interval("weak", "n_weak", "n_banded")}
from qi.early_alliance where clinic_key = 'all'
order by period_start, array_position(['all', 'weak', 'moderate', 'strong', 'none'], band)
"""

STRENGTHENING = f"""
select *, {_interval("repaired", "n_repaired", "n_settled")}
from qi.strengthening_after_rupture where clinic_key = 'all'
order by
    period_start,
    array_position(
        ['all', 'any', 'destigmatize', 'compassion', 'co_create', 'none'], work
    )
"""

STALLS = """
select * from qi.stall_by_component where clinic_key = 'all'
order by
    instrument, period_start,
    array_position(['all', 'goal', 'task', 'bond', 'none'], component)
"""

RUPTURES = """
select
    months.*,
    case when methods.is_retrospective then 'yes' else 'no' end as retrospective,
    coalesce(methods.source, '') as source
from qi.rupture_repair_monthly as months
left join alliance.dim_rupture_method as methods on months.method = methods.method
where months.clinic_key = 'all'
order by
    months.method <> 'default_rc3', months.method, months.instrument,
    array_position(['all', 'goal', 'task', 'bond', 'none'], months.lead_component),
    months.month
"""

# What became of the ruptures of the funnel's twelve months. Monthly tables hide
# a small service's settled ruptures; a year of them can be shown when enough people and
# enough settled ruptures stand behind it.
FLOW = """
with year as (
    select min(window_start) as starts_on, max(window_end) as ends_on
    from qi.clinic_funnel
),
counted as (
    select
        ruptures.instrument,
        min(year.starts_on) as window_start,
        min(year.ends_on) as window_end,
        count(distinct episodes.client_key) as n_clients,
        count(*) as n_ruptures,
        count(*) filter (ruptures.status <> 'pending') as n_settled,
        count(*) filter (ruptures.status = 'resolved') as n_resolved,
        count(*) filter (ruptures.status = 'late_repair') as n_late_repair,
        count(*) filter (ruptures.status = 'pending') as n_pending,
        count(*) filter (
            ruptures.status in ('unresolved', 'unresolved_at_close')
        ) as n_unrepaired
    from alliance.fct_rupture as ruptures
    inner join core.fct_episode as episodes
        on ruptures.episode_key = episodes.episode_key
    inner join year
        on ruptures.onset_date between year.starts_on and year.ends_on
    where ruptures.method = 'default_rc3' and ruptures.rater = 'client'
    group by ruptures.instrument
)
select
    *, n_clients < $minimum or n_settled < $minimum as suppressed,
    false as partly_suppressed
from counted order by instrument
"""

METHODS = """
select * from qi.method_comparison order by method_a, method_b
"""

OUTCOMES = """
select * from qi.outcome_monthly where clinic_key = 'all' order by instrument, month
"""

ENDINGS = """
select * from qi.endings where clinic_key = 'all'
order by
    array_position(
        ['all', 'no_rupture', 'repaired', 'pending', 'unrepaired', 'insufficient'],
        pattern
    ),
    month
"""

DROPOUT_RULES = """
select distinct dropout_rule from core.fct_episode
where dropout_rule is not null order by dropout_rule
"""

FUNNEL = """
select * from qi.clinic_funnel order by indicator, clinic_key
"""

EQUITY = """
select
    *,
    case
        when value is null or ci_low is null then null
        else overall_value between ci_low and ci_high
    end as includes_overall
from qi.equity
order by dimension, indicator, group_value = 'unknown', group_value
"""

# --- the front page

SIGNAL_COUNTS = f"""
with before as ({SIGNALS_BEFORE}),
told as (
    select
        signals.closed_on is null as is_open,
        before.was_open,
        signals.closed_reason
    from outcomes.fct_care_signal as signals
    left join before on signals.signal_key = before.signal_key
)
select
    count(*) filter (is_open and not coalesce(was_open, false)) as n_opened,
    count(*) filter (
        not is_open and was_open and closed_reason is distinct from 'withdrawn'
    ) as n_closed,
    count(*) filter (is_open and was_open) as n_still_open
from told
"""

RESTATED = """
select table_name, count(distinct month) as n_months
from ops.change_log
where is_past_month and table_name like 'qi.%'
group by table_name order by table_name
"""

LAST_DELIVERIES = """
select
    source,
    max(received_at)::date as received_on,
    date_diff('day', max(received_at)::date, $as_of::date) as n_days
from ops.delivery
where outcome <> 'refused'
group by source order by received_on desc, source
"""

# --- the data-quality page

LEDGER = """
select
    source, table_name,
    sum(rows_in)::bigint as rows_in,
    sum(rows_loaded)::bigint as rows_loaded,
    sum(rows_quarantined)::bigint as rows_quarantined,
    sum(rows_filtered)::bigint as rows_filtered,
    sum(rows_footer)::bigint as rows_footer,
    sum(rows_blank)::bigint as rows_blank
from ops.row_ledger
group by source, table_name order by source, table_name
"""

# A delivery is of the first run that began after it was picked up.
NIGHTS = """
with runs as (
    select
        run_id, as_of, outcome, started_at, ended_at,
        lag(started_at) over (order by started_at, run_id) as since
    from ops.run
),

arrived as (
    select
        deliveries.picked_up_at,
        sum(ledger.rows_in)::bigint as rows_in,
        sum(ledger.rows_loaded)::bigint as rows_loaded
    from ops.delivery as deliveries
    inner join ops.row_ledger as ledger
        on deliveries.delivery_id = ledger.delivery_id
    group by deliveries.delivery_id, deliveries.picked_up_at
)

select
    runs.as_of,
    runs.outcome,
    date_diff('millisecond', runs.started_at, runs.ended_at) / 60000e0 as run_minutes,
    coalesce(sum(arrived.rows_in), 0)::bigint as rows_in,
    coalesce(sum(arrived.rows_loaded), 0)::bigint as rows_loaded
from runs
left join arrived
    on
        arrived.picked_up_at <= runs.started_at
        and (runs.since is null or arrived.picked_up_at > runs.since)
where runs.outcome <> 'rebuilt'
group by runs.run_id, runs.as_of, runs.outcome, runs.started_at, runs.ended_at
order by runs.started_at desc, runs.run_id desc
limit 60
"""

N_DELIVERIES = """
select count(*) as n from ops.delivery
"""

CHECKS = """
select check_name, layer, table_name, severity, status, passed, observed, expected, waived
from ops.check_result where run_id = $run
order by
    passed, array_position(['critical', 'warning', 'info'], severity), layer, check_name
"""

FINDINGS = """
select finding, table_name, n_rows from ops.data_finding
where n_rows > 0 order by finding, table_name
"""

# Valid or not, a form that names no session counts for no session's completion.
FORMS_WITHOUT_SESSION = """
with forms as (
    select distinct scores.administration_key, scores.client_key, kinds.domain, scores.rater
    from core.fct_measure_score as scores
    inner join (select distinct instrument, domain from core.dim_instrument) as kinds
        on scores.instrument = kinds.instrument
    where scores.session_key is null and scores.subscale = 'total'
),
counted as (
    select domain, rater, count(*) as n_forms, count(distinct client_key) as n_clients
    from forms group by domain, rater
)
select
    domain, rater,
    case when n_clients >= $minimum then n_forms end as n_forms,
    n_clients < $minimum as suppressed, false as partly_suppressed
from counted order by domain, rater
"""

SCHEMA_SIZES = """
select schema_name, count(*) as n_tables, sum(estimated_size)::bigint as n_rows
from duckdb_tables()
where schema_name in ('core', 'alliance', 'outcomes', 'qi')
group by schema_name order by schema_name
"""

HIDDEN_ROWS = """
select count(*) filter (suppressed) as n_hidden, count(*) as n_rows from (
    select suppressed from qi.completion_monthly
    union all select suppressed from qi.alliance_monthly
    union all select suppressed from qi.rupture_repair_monthly
    union all select suppressed from qi.early_alliance
    union all select suppressed from qi.stall_by_component
    union all select suppressed from qi.outcome_monthly
    union all select suppressed from qi.endings
    union all select suppressed from qi.clinic_funnel
    union all select suppressed from qi.equity
    union all select suppressed from qi.method_comparison
    union all select suppressed from qi.strengthening_after_rupture
)
"""

# --- the glossary

TABLES = """
select schema_name || '.' || table_name as table_name, coalesce(comment, '') as meaning
from duckdb_tables()
where schema_name in ('core', 'alliance', 'outcomes', 'qi', 'ops')
order by table_name
"""

COLUMNS = """
select
    schema_name || '.' || table_name as table_name, column_name,
    coalesce(comment, '') as meaning
from duckdb_columns()
where schema_name = 'qi'
order by table_name, column_index
"""

INSTRUMENTS = """
select
    instrument, version, domain,
    string_agg(distinct rater, ', ' order by rater) as raters,
    min(citation) as citation
from core.dim_instrument
group by instrument, version, domain order by instrument, version
"""

RUPTURE_METHODS = """
select
    method, case when is_retrospective then 'yes' else 'no' end as retrospective,
    rule, source
from alliance.dim_rupture_method
order by method <> 'default_rc3', method
"""
