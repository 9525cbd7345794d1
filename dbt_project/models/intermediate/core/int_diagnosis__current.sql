-- Diagnoses as they stand tonight, under the last id of a merged client.
-- Rule: measurement.md B1, K1
{{ current_version('stg_diagnosis', 'diagnoses', ['client_key', 'code', 'system', 'recorded_on'], touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select
        coalesce(client_merges.client_key, version.client_key) as client_key,
        version.code,
        version.system,
        version.recorded_on,
        version.status,
        version.source
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
)

select * from final
