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
    suppressed as is_hidden, null as n_clients
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
    coalesce(source.n_clients, points.denominator) as n,
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
_LONGEST_RUN = """
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
with longest as ({_LONGEST_RUN})
select series.*, longest.longest_side
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
select signal_key, closed_on is null from ranked where choice = 1
"""

ERASED_SINCE = """
select coalesce(sum(n_signals), 0) from ops.signal_erasure
where erased_at > $since
"""

# --- pages

COMPLETION = """
select * from qi.completion_monthly order by form, clinic_key, month
"""
