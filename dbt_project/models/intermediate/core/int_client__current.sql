-- Clients as they stand tonight; an id that was merged away is no client of its own.
-- Rule: measurement.md K1
{{ current_version('stg_client', 'clients', ['client_key'], updated='updated_at', touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select version.*
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
    where client_merges.old_client_key is null
)

select * from final
