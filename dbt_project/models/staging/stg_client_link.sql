-- Every delivered version of a client link; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'client_links') }}
),

final as (
    select
        client_key,
        other_client_key,
        linked_on,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
