-- Attended sessions outside every reported episode, with the derived episode each belongs
-- to: a new one starts when the gap to the session before is more than the set days.
-- Rule: measurement.md B5
with

sessions as (
    select sessions.*
    from {{ ref('int_session__counted') }} as sessions
    left join {{ ref('int_session__reported_episode') }} as reported
        on sessions.session_key = reported.session_key
    where reported.session_key is null and sessions.is_attended
),

spaced as (
    select
        *,
        lag(session_date) over (
            partition by client_key
            order by session_date, started_at, session_key
        ) as date_before
    from sessions
),

marked as (
    select
        *,
        case
            when
                date_before is null
                or {{ days_between('session_date', 'date_before') }}
                > {{ setting('episodes.gap_days') }}
                then 1
            else 0
        end as is_first
    from spaced
),

numbered as (
    select
        *,
        sum(is_first) over (
            partition by client_key
            order by session_date, started_at, session_key
            rows between unbounded preceding and current row
        ) as derived_number
    from marked
),

final as (
    select
        session_key,
        client_key,
        source,
        session_date,
        min(session_date) over (
            partition by client_key, derived_number
        ) as opened_on,
        max(session_date) over (
            partition by client_key, derived_number
        ) as last_attended_on
    from numbered
)

select * from final
