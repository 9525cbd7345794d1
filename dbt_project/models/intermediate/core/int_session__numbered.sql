-- Every session with its episode, and attended ones with their number within it.
-- Rule: measurement.md B3
with

sessions as (
    select * from {{ ref('int_session__counted') }}
),

episodes as (
    select * from {{ ref('int_session__episode') }}
),

numbered as (
    select
        sessions.session_key,
        cast(row_number() over (
            partition by episodes.episode_key
            order by sessions.started_at, sessions.session_key
        ) as integer) as session_number
    from sessions
    inner join episodes on sessions.session_key = episodes.session_key
    where sessions.is_attended
),

final as (
    select
        sessions.*,
        episodes.episode_key,
        numbered.session_number
    from sessions
    left join episodes on sessions.session_key = episodes.session_key
    left join numbered on sessions.session_key = numbered.session_key
)

select * from final
