-- One session of a known client, whatever became of it; attended ones are numbered.
-- Rule: measurement.md B2-B5
with

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

final as (
    select
        session_key,
        client_key,
        therapist_key,
        clinic_key,
        episode_key,
        session_number,
        session_date,
        started_at,
        duration_minutes,
        status,
        modality,
        treatment_approach,
        delivery_mode
    from sessions
)

select * from final
