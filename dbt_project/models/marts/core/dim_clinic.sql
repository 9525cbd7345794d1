-- One clinic, with the zone its sessions are dated in.
-- Rule: contract §4
with

clinics as (
    select * from {{ ref('int_clinic__current') }}
),

final as (
    select
        clinic_key,
        name as clinic_name,
        state,
        timezone
    from clinics
)

select * from final
