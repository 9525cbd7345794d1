-- After each attended session, the missed one that completes a row of missed sessions
-- before the next attended one; sessions that are neither are skipped.
-- Rule: measurement.md I, disengagement (a)
with

sessions as (
    select * from {{ ref('int_session__numbered') }}
    where episode_key is not null and (is_attended or is_missed)
),

placed as (
    select
        *,
        cast(sum(case when is_attended then 1 else 0 end) over (
            partition by episode_key
            order by started_at, session_key
            rows between unbounded preceding and current row
        ) as integer) as after_session_number
    from sessions
),

missed as (
    select
        episode_key,
        after_session_number,
        session_date,
        row_number() over (
            partition by episode_key, after_session_number
            order by started_at, session_key
        ) as missed_number
    from placed
    where is_missed and after_session_number >= 1
),

final as (
    select
        episode_key,
        after_session_number,
        session_date as opened_on,
        cast(missed_number as integer) as n_missed
    from missed
    where missed_number = {{ setting('signals.missed_in_row') }}
)

select * from final
