-- Every delivered version of a measure item; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'measure_items') }}
),

final as (
    select
        administration_key,
        item,
        value,
        value_kind,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
