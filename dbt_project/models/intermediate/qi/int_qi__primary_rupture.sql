-- Ruptures of the primary method on the episode's own instrument, with the episode's clinic.
-- Rule: quality_improvement.md, "primary ruptures"
with

ruptures as (
    select *
    from {{ ref('fct_rupture') }}
    where method = 'default_rc3' and rater = 'client'
),

cohorts as (
    select * from {{ ref('rupture_cohort') }} where method = 'default_rc3'
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

final as (
    select
        ruptures.rupture_key,
        ruptures.episode_key,
        episodes.client_key,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        ruptures.onset_date,
        ruptures.status <> 'pending' as is_settled,
        ruptures.status in ('resolved', 'late_repair') as is_repaired,
        case
            when ruptures.status in ('resolved', 'late_repair')
                then ruptures.sessions_to_repair
        end as sessions_to_repair
    from ruptures
    inner join cohorts
        on
            ruptures.episode_key = cohorts.episode_key
            and ruptures.instrument = cohorts.instrument
    inner join episodes on ruptures.episode_key = episodes.episode_key
    cross join tonight
    where ruptures.onset_date <= tonight.as_of
)

select * from final
