-- The episode of every session, reported or derived; none for a session that was not
-- attended and lies near no derived episode.
-- Rule: measurement.md B4, B5
with

sessions as (
    select * from {{ ref('int_session__counted') }}
),

reported as (
    select * from {{ ref('int_session__reported_episode') }}
),

starts as (
    select * from {{ ref('int_session__derived_start') }}
),

derived as (
    select * from {{ ref('int_episode__derived') }}
),

attended_derived as (
    select
        starts.session_key,
        derived.episode_key
    from starts
    inner join derived
        on starts.client_key = derived.client_key and starts.opened_on = derived.opened_on
),

remaining as (
    select sessions.*
    from sessions
    left join reported on sessions.session_key = reported.session_key
    where reported.session_key is null and not sessions.is_attended
),

-- The latest derived episode that opened by then, if its gap has not passed; else the
-- first that opens within the gap.
near as (
    select
        remaining.session_key,
        derived.episode_key,
        row_number() over (
            partition by remaining.session_key
            order by
                case when derived.opened_on <= remaining.session_date then 0 else 1 end,
                case
                    when derived.opened_on <= remaining.session_date
                        then {{ days_between('remaining.session_date', 'derived.opened_on') }}
                    else {{ days_between('derived.opened_on', 'remaining.session_date') }}
                end
        ) as choice
    from remaining
    inner join derived on remaining.client_key = derived.client_key
    where
        (
            derived.opened_on <= remaining.session_date
            and {{ days_between('remaining.session_date', 'derived.last_attended_on') }}
            <= {{ setting('episodes.gap_days') }}
        )
        or (
            derived.opened_on > remaining.session_date
            and {{ days_between('derived.opened_on', 'remaining.session_date') }}
            <= {{ setting('episodes.gap_days') }}
        )
),

final as (
    select
        session_key,
        episode_key,
        'reported' as episode_origin
    from reported
    union all
    select
        session_key,
        episode_key,
        'derived' as episode_origin
    from attended_derived
    union all
    select
        session_key,
        episode_key,
        'derived' as episode_origin
    from near
    where choice = 1
)

select * from final
