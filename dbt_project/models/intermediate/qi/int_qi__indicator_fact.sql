-- The facts that each indicator is out of, in its twelve months, and those it counts.
-- Rule: quality_improvement.md 2, clinic_funnel
with

period as (
    select * from {{ ref('int_qi__window') }}
),

forms as (
    select * from {{ ref('int_qi__form_due') }}
),

ruptures as (
    select * from {{ ref('int_qi__primary_rupture') }} where is_settled
),

early as (
    select * from {{ ref('int_qi__early_episode') }} where own_band <> 'none'
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

mains as (
    select * from {{ ref('int_qi__main_outcome') }} where clinical_class <> 'insufficient'
),

facts as (
    select
        'completion_alliance' as indicator,
        session_date as fact_date,
        coalesce(clinic_key, 'unknown') as own_clinic,
        client_key,
        alliance_client = 'complete' as is_counted
    from forms
    union all
    select
        'repair' as indicator,
        onset_date as fact_date,
        own_clinic,
        client_key,
        is_repaired as is_counted
    from ruptures
    union all
    select
        'weak_early_alliance' as indicator,
        first_date as fact_date,
        own_clinic,
        client_key,
        own_band = 'weak' as is_counted
    from early
    union all
    select
        'reliable_improvement' as indicator,
        episodes.closed_on as fact_date,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        episodes.client_key,
        coalesce(mains.reliable_change = 'improved', false) as is_counted
    from episodes
    inner join mains on episodes.episode_key = mains.episode_key
    union all
    select
        'dropout' as indicator,
        closed_on as fact_date,
        coalesce(clinic_key, 'unknown') as own_clinic,
        client_key,
        dropout as is_counted
    from episodes
    where dropout is not null
),

final as (
    select facts.*
    from facts
    cross join period
    where facts.fact_date between period.window_start and period.window_end
)

select * from final
