-- The event log of care signals: what tonight's history yields, and the rows that were
-- published and are no longer yielded, which stay, closed on the night that lost them.
-- A row that comes back stands again as the history has it.
-- Rule: measurement.md I
with

rebuilt as (
    select * from {{ ref('int_signal__rebuilt') }}
),

logged as (
    select * from {{ ref('int_signal__logged') }}
    {{ where_touched('client_key') }}
),

episodes as (
    select * from {{ ref('int_signal__episode_end') }}
),

merged_clients as (
    select * from {{ ref('int_client_merge__last') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

standing as (
    select
        rebuilt.signal_key,
        rebuilt.signal,
        rebuilt.instrument,
        rebuilt.episode_key,
        rebuilt.client_key,
        rebuilt.therapist_key,
        rebuilt.clinic_key,
        rebuilt.opened_on,
        coalesce(logged.first_detected_at, tonight.as_of_at) as first_detected_at,
        rebuilt.closed_on,
        rebuilt.closed_reason,
        rebuilt.evidence
    from rebuilt
    cross join tonight
    left join logged on rebuilt.signal_key = logged.signal_key
),

vanished as (
    select
        logged.signal_key,
        logged.signal,
        logged.instrument,
        logged.episode_key,
        coalesce(merged_clients.client_key, logged.client_key) as client_key,
        logged.therapist_key,
        logged.clinic_key,
        logged.opened_on,
        logged.first_detected_at,
        coalesce(logged.closed_on, tonight.as_of) as closed_on,
        case
            when logged.closed_on is not null then logged.closed_reason
            when episodes.is_closed then 'episode_closed'
            else 'withdrawn'
        end as closed_reason,
        logged.evidence
    from logged
    cross join tonight
    left join rebuilt on logged.signal_key = rebuilt.signal_key
    left join episodes on logged.episode_key = episodes.episode_key
    left join merged_clients on logged.client_key = merged_clients.old_client_key
    where rebuilt.signal_key is null and logged.is_by_tonight
),

united as (
    select * from standing
    union all
    select * from vanished
),

final as (
    select
        signal_key,
        signal,
        instrument,
        episode_key,
        client_key,
        therapist_key,
        clinic_key,
        opened_on,
        first_detected_at,
        closed_on,
        closed_reason,
        case when closed_on is null then 'open' else 'closed' end as status,
        evidence
    from united
)

select * from final
