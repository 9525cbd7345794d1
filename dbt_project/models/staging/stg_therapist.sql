-- Every delivered version of a therapist; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'therapists') }}
),

final as (
    select
        therapist_key,
        clinic_key,
        discipline,
        discipline_raw,
        licensed_on,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
