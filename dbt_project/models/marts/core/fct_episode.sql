-- One episode of care, reported by the record system or derived from its sessions.
-- Rule: measurement.md B4-B7, G4
with

episodes as (
    select * from {{ ref('int_episode__described') }}
),

dropouts as (
    select * from {{ ref('int_episode__dropout') }}
),

source_settings as (
    select * from {{ source('control', 'source_setting') }}
),

final as (
    select
        episodes.episode_key,
        episodes.client_key,
        episodes.therapist_key,
        episodes.clinic_key,
        episodes.opened_on,
        episodes.closed_on,
        episodes.closure_reason,
        case when episodes.is_closed then 'closed' else 'open' end as episode_status,
        episodes.episode_origin,
        episodes.trauma_focused,
        episodes.treatment_approach,
        episodes.n_attended,
        episodes.n_missed,
        dropouts.dropout,
        dropouts.dropout_rule,
        coalesce(source_settings.is_part2, false) as is_part2
    from episodes
    inner join dropouts on episodes.episode_key = dropouts.episode_key
    left join source_settings on episodes.source = source_settings.source
)

select * from final
