-- Each stalled spell with the score that ended it, if any, and where its episode stands.
-- Rule: measurement.md G3
with

steps as (
    select * from {{ ref('int_stall__step') }}
),

scores as (
    select * from {{ ref('int_stall__score') }}
),

episodes as (
    select * from {{ ref('int_episode__described') }}
),

ends as (
    select
        steps.episode_key,
        steps.instrument,
        steps.stall_number,
        scores.session_number,
        scores.administered_on
    from steps
    inner join scores
        on
            steps.episode_key = scores.episode_key
            and steps.instrument = scores.instrument
            and steps.score_number = scores.score_number
    where steps.step = 'resumed'
),

final as (
    select
        steps.episode_key,
        steps.instrument,
        steps.stall_number,
        scores.session_number as stall_session_number,
        scores.administered_on as stall_date,
        ends.session_number as resumed_session_number,
        ends.administered_on as resumed_date,
        episodes.is_closed,
        episodes.n_attended,
        case
            when ends.stall_number is not null then 'resumed'
            when episodes.is_closed then 'closed'
            else 'open'
        end as status
    from steps
    inner join scores
        on
            steps.episode_key = scores.episode_key
            and steps.instrument = scores.instrument
            and steps.score_number = scores.score_number
    inner join episodes on steps.episode_key = episodes.episode_key
    left join ends
        on
            steps.episode_key = ends.episode_key
            and steps.instrument = ends.instrument
            and steps.score_number = ends.stall_number
    where steps.step = 'stalled'
)

select * from final
