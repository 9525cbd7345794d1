-- Filled-in forms as they stand tonight, under the last id of a merged client.
-- Rule: measurement.md B1, K1
{{ current_version('stg_measure', 'measures', ['administration_key'], updated='updated_at', deleted='is_deleted', touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select
        version.administration_key,
        coalesce(client_merges.client_key, version.client_key) as client_key,
        version.therapist_key,
        version.session_key,
        version.instrument,
        version.version,
        version.rater,
        version.administered_at_wall,
        version.administered_at_offset_minutes,
        version.administered_at_is_date,
        version.total_reported,
        version.updated_at,
        version.source
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
)

select * from final
