-- Every delivered version of a measure; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'measures') }}
),

final as (
    select
        administration_key,
        client_key,
        therapist_key,
        session_key,
        instrument,
        instrument_raw,
        version,
        rater,
        rater_raw,
        administered_at_wall,
        administered_at_offset_minutes,
        administered_at_is_date,
        total_reported,
        updated_at,
        coalesce(deleted, false) as is_deleted,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
