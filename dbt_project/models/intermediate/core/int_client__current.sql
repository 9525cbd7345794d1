-- Clients as they stand tonight; an id that was merged away is no client of its own.
-- Rule: measurement.md K1
{{ current_version('stg_client', 'clients', ['client_key'], updated='updated_at') }},

merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select version.*
    from current_version as version
    left join merges on version.client_key = merges.old_client_key
    where merges.old_client_key is null
)

select * from final
