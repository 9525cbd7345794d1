-- After each attended session, the first day of silence: long enough after it, none
-- attended since, and no session row dated in the days that follow (a booking is contact
-- planned). Only the day that completes the silence and the days of later sessions can be
-- the first such day: any other has the same sessions after it as the day before.
-- Rule: measurement.md I, disengagement (b)
with

sessions as (
    select * from {{ ref('int_session__numbered') }}
    where episode_key is not null and status <> 'voided'
),

settings as (
    select
        cast({{ setting('signals.silent_days') }} as integer) as silent_days,
        cast({{ setting('signals.booked_days') }} as integer) as booked_days
),

session_days as (
    select
        episode_key,
        session_date as day,
        max(session_number) as last_session_number
    from sessions
    group by episode_key, session_date
),

marks as (
    select
        episode_key,
        day,
        true as is_session_day,
        last_session_number
    from session_days
    union all
    select
        session_days.episode_key,
        {{ days_after('session_days.day', 'settings.silent_days') }} as day,
        false as is_session_day,
        cast(null as integer) as last_session_number
    from session_days
    cross join settings
    where session_days.last_session_number is not null
),

days as (
    select
        episode_key,
        day,
        max(case when is_session_day then 1 else 0 end) = 1 as is_session_day,
        max(last_session_number) as last_session_number
    from marks
    group by episode_key, day
),

seen as (
    select
        episode_key,
        day,
        max(case when last_session_number is not null then day end) over (
            partition by episode_key
            order by day
            rows between unbounded preceding and current row
        ) as attended_on,
        max(last_session_number) over (
            partition by episode_key
            order by day
            rows between unbounded preceding and current row
        ) as after_session_number,
        min(case when is_session_day then day end) over (
            partition by episode_key
            order by day
            rows between 1 following and unbounded following
        ) as next_session_on
    from days
),

silent as (
    select
        seen.*,
        row_number() over (
            partition by seen.episode_key, seen.after_session_number
            order by seen.day
        ) as choice
    from seen
    cross join settings
    where
        seen.day <= {{ as_of() }}
        and {{ days_between('seen.day', 'seen.attended_on') }} >= settings.silent_days
        and (
            seen.next_session_on is null
            or {{ days_between('seen.next_session_on', 'seen.day') }}
            > settings.booked_days
        )
),

final as (
    select
        episode_key,
        after_session_number,
        day as opened_on,
        cast({{ days_between('day', 'attended_on') }} as integer) as n_days
    from silent
    where choice = 1
)

select * from final
