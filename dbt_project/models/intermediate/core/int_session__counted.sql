-- Each session with what it counts as: attended up to the as-of date, or missed.
-- Rule: measurement.md B3
with

sessions as (
    select * from {{ ref('int_session__timed') }}
),

final as (
    select
        *,
        status = 'attended' and session_date <= {{ as_of() }} as is_attended,
        status in ('no_show', 'client_cancelled', 'late_cancelled')
        and session_date <= {{ as_of() }} as is_missed
    from sessions
)

select * from final
