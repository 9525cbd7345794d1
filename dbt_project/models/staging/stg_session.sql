-- Every delivered version of a session; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'sessions') }}
),

final as (
    select
        session_key,
        client_key,
        therapist_key,
        clinic_key,
        episode_key,
        started_at_wall,
        started_at_offset_minutes,
        started_at_is_date,
        ended_at_wall,
        ended_at_offset_minutes,
        ended_at_is_date,
        timezone,
        coalesce(status, 'unknown') as status,
        status_raw,
        service_code,
        modality,
        modality_raw,
        treatment_approach,
        treatment_approach_raw,
        delivery_mode,
        delivery_mode_raw,
        diagnosis_codes,
        updated_at,
        coalesce(deleted, false) as is_deleted,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
