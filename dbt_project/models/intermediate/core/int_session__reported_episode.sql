-- The reported episode of each session: the one it names if that is the same client's,
-- else the one that contains its date (same therapist, latest opened, smallest key).
-- Rule: measurement.md B4
with

sessions as (
    select * from {{ ref('int_session__counted') }}
),

episodes as (
    select * from {{ ref('int_episode__reported') }}
),

candidates as (
    select
        sessions.session_key,
        episodes.episode_key,
        row_number() over (
            partition by sessions.session_key
            order by
                case
                    when sessions.named_episode_key = episodes.episode_key then 0 else 1
                end asc,
                case
                    when sessions.therapist_key = episodes.therapist_key then 0 else 1
                end asc,
                episodes.opened_on desc,
                episodes.episode_key asc
        ) as choice
    from sessions
    inner join episodes on sessions.client_key = episodes.client_key
    where
        sessions.named_episode_key = episodes.episode_key
        or (
            episodes.opened_on <= sessions.session_date
            and (
                episodes.closed_on is null
                or sessions.session_date <= episodes.closed_on
            )
        )
),

final as (
    select
        session_key,
        episode_key
    from candidates
    where choice = 1
)

select * from final
