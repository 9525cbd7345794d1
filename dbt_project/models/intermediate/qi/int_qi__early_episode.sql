-- Episodes long enough to have an early alliance, by the first session, with their ending.
-- Kept from night to night, as forms due are: the first session of each episode was looked
-- for among all sessions.
-- Rule: quality_improvement.md 2, early_alliance
with

episodes as (
    select * from {{ ref('fct_episode') }} {{ where_touched('client_key') }}
),

sessions as (
    select * from {{ ref('fct_session') }} {{ where_touched('client_key') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

firsts as (
    select
        sessions.episode_key,
        min(sessions.session_date) as first_date
    from sessions
    cross join tonight
    where sessions.status = 'attended' and sessions.session_date <= tonight.as_of
    group by sessions.episode_key
),

mains as (
    select * from {{ ref('int_qi__main_outcome') }}
),

final as (
    select
        episodes.episode_key,
        firsts.first_date,
        {{ block_of('firsts.first_date', setting('qi.cohort_months')) }} as period_start,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        coalesce(mains.early_alliance_band, 'none') as own_band,
        episodes.client_key,
        episodes.dropout,
        coalesce(mains.clinical_class, 'insufficient') <> 'insufficient' as has_outcome,
        mains.reliable_change
    from episodes
    inner join firsts on episodes.episode_key = firsts.episode_key
    left join mains on episodes.episode_key = mains.episode_key
    where episodes.n_attended >= 3
)

select * from final
