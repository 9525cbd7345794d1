-- The clinics that every table shows: each known one, `unknown` when any session or
-- episode lacks one, and `all`, the whole service.
-- Rule: quality_improvement.md 1.3, 1.4
with

clinics as (
    select * from {{ ref('dim_clinic') }}
),

sessions as (
    select * from {{ ref('fct_session') }}
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

without_clinic as (
    select session_key as fact_key from sessions where clinic_key is null
    union all
    select episode_key as fact_key from episodes where clinic_key is null
),

final as (
    select clinic_key from clinics
    union all
    select distinct 'unknown' as clinic_key from without_clinic
    union all
    select 'all' as clinic_key
)

select * from final
