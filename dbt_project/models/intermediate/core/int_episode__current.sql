-- Reported episodes as they stand tonight, under the last id of a merged client.
-- Rule: measurement.md B1, K1
{{ current_version('stg_episode', 'episodes', ['episode_key'], updated='updated_at', touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select
        version.episode_key,
        coalesce(client_merges.client_key, version.client_key) as client_key,
        version.therapist_key,
        version.clinic_key,
        version.opened_on,
        version.closed_on,
        version.closure_reason,
        version.trauma_focused,
        version.treatment_approach,
        version.source
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
)

select * from final
