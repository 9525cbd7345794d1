"""What the pages ask the published snapshot. No therapist, no key."""

LAST_RUN = """
select run_id, as_of, started_at from ops.run
where outcome = 'published' order by started_at desc limit 1
"""

WHAT_IT_HOLDS = """
select
    (select count(*) from core.dim_client),
    (select count(*) from core.fct_episode),
    (select count(*) from core.fct_episode where episode_status = 'open'),
    (select count(*) from core.fct_session where session_number is not null),
    (select max(session_date) from core.fct_session where session_number is not null),
    (select max(received_at)::date from ops.delivery)
"""

# A pattern with fewer people than the minimum is hidden; when that leaves one hidden
# alone, the smallest shown one is hidden with it, so that no total gives it away.
PATTERNS = """
with counted as (
    select pattern, count(*) as n, count(distinct client_key) as n_clients
    from alliance.rupture_cohort
    inner join core.fct_episode using (episode_key)
    where method = 'default_rc3' group by 1
),
judged as (
    select
        *,
        n_clients < $1 as is_small,
        sum((n_clients < $1)::int) over () as n_small,
        row_number() over (partition by n_clients < $1 order by n_clients, pattern) as place
    from counted
)
select pattern, case when not is_small and not (n_small = 1 and place = 1) then n end
from judged
"""

REPAIRS = """
select
    count(*),
    case when count(distinct rupture.client_key) >= $1
        then count(*) filter (where status in ('resolved', 'late_repair')) end
from alliance.fct_rupture as rupture
inner join alliance.rupture_cohort as cohort
    on rupture.episode_key = cohort.episode_key
    and rupture.method = cohort.method
    and rupture.instrument = cohort.instrument
where rupture.method = 'default_rc3'
"""

# Months with fewer people than the minimum are hidden before they reach a page.
ALLIANCE_BY_MONTH = """
with counted as (
    select
        date_trunc('month', alliance.session_date)::date as month,
        count(distinct client_key) as n_clients,
        avg(client_goal) as goal,
        avg(client_task) as task,
        avg(client_bond) as bond,
        count(client_total) as n
    from alliance.fct_alliance_session as alliance
    inner join core.fct_session using (session_key)
    where instrument = 'WAI-SR' and client_total is not null
    group by 1
)
select
    strftime(month, '%Y-%m'),
    case when n_clients >= $1 then n end,
    case when n_clients >= $1 then goal end,
    case when n_clients >= $1 then task end,
    case when n_clients >= $1 then bond end
from counted order by 1
"""

BOND_BY_SESSION = """
select
    session_number,
    max(case when trauma_focused = 'true' then mean_score end),
    max(case when trauma_focused = 'false' then mean_score end),
    max(case when trauma_focused = 'true' then n_episodes end),
    max(case when trauma_focused = 'false' then n_episodes end)
from alliance.trajectory_by_session
where instrument = 'WAI-SR' and component = 'bond'
group by 1 order by 1
"""

LEDGER = """
select
    coalesce(sum(rows_in), 0),
    coalesce(sum(rows_loaded), 0),
    coalesce(sum(rows_quarantined), 0),
    coalesce(sum(rows_filtered), 0),
    coalesce(sum(rows_footer), 0),
    coalesce(sum(rows_blank), 0),
    count(distinct delivery_id)
from ops.row_ledger
"""

CHECKS = """
select check_name, table_name, severity, passed, observed, expected
from ops.check_result where run_id = $1 order by severity, check_name
"""

FINDINGS = """
select finding, table_name, n_rows from ops.data_finding
where n_rows > 0 order by finding, table_name
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
