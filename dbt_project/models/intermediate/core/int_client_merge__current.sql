-- Client merges that count tonight: merged on or before the as-of date.
-- Rule: measurement.md B1, K1
{{ current_version('stg_client_merge', 'client_merges', ['old_client_key']) }},

final as (
    select
        old_client_key,
        new_client_key
    from current_version
    where merged_on <= {{ as_of() }}
)

select * from final
