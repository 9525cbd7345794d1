-- Every delivered version of a client; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'clients') }}
),

final as (
    select
        client_key,
        birth_year,
        sex,
        sex_raw,
        race,
        race_raw,
        ethnicity,
        ethnicity_raw,
        preferred_language,
        preferred_language_raw,
        zip3,
        state,
        state_raw,
        registered_on,
        updated_at,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
