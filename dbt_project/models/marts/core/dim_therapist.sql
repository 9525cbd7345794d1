-- One therapist, by key; no page ranks by it.
-- Rule: contract §4
with

therapists as (
    select * from {{ ref('int_therapist__current') }}
),

final as (
    select
        therapist_key,
        clinic_key,
        discipline
    from therapists
)

select * from final
