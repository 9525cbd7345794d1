-- Every delivered version of a clinic; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'clinics') }}
),

final as (
    select
        clinic_key,
        name,
        state,
        state_raw,
        timezone,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
