-- Every delivered version of a client merge; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'client_merges') }}
),

final as (
    select
        old_client_key,
        new_client_key,
        merged_on,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
