-- Every delivered version of a episode; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'episodes') }}
),

final as (
    select
        episode_key,
        client_key,
        therapist_key,
        clinic_key,
        opened_on,
        closed_on,
        closure_reason,
        closure_reason_raw,
        trauma_focused,
        treatment_approach,
        treatment_approach_raw,
        updated_at,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
