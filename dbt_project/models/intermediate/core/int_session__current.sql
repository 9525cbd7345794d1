-- Sessions as they stand tonight, under the last id of a merged client.
-- Rule: measurement.md B1, K1
{{ current_version('stg_session', 'sessions', ['session_key'], updated='updated_at', deleted='is_deleted', touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select
        version.session_key,
        coalesce(client_merges.client_key, version.client_key) as client_key,
        version.therapist_key,
        version.clinic_key,
        version.episode_key,
        version.started_at_wall,
        version.started_at_offset_minutes,
        version.started_at_is_date,
        version.ended_at_wall,
        version.ended_at_offset_minutes,
        version.timezone,
        version.status,
        version.modality,
        version.treatment_approach,
        version.delivery_mode,
        version.diagnosis_codes,
        version.source
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
)

select * from final
