-- Every delivered version of a diagnosis; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'diagnoses') }}
),

final as (
    select
        client_key,
        code,
        code_raw,
        coalesce(system, 'unknown') as system,
        system_raw,
        recorded_on,
        coalesce(status, 'active') as status,
        status_raw,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
