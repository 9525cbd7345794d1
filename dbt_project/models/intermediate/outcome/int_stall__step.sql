-- Each episode's scores walked one by one, with at most one open stalled spell. A spell
-- begins after enough scores of its stretch; the score that ends one begins the next
-- stretch.
-- Rule: measurement.md G3
with recursive

scores as (
    select * from {{ ref('int_stall__score') }}
),

settings as (
    select
        {{ setting('stall.min_session') }} as min_session,
        {{ setting('stall.window_scores') }} as window_scores
),

walk as (
    select
        episode_key,
        instrument,
        0 as score_number,
        1 as stretch_from,
        cast(null as integer) as stall_number,
        cast(null as double) as stall_score,
        'start' as step
    from scores
    where score_number = 1
    union all
    select
        episode_key,
        instrument,
        score_number,
        case when step = 'resumed' then score_number else stretch_from end
            as stretch_from,
        case
            when step = 'stalled' then score_number
            when step in ('inside', 'resumed') then stall_number
        end as stall_number,
        case
            when step = 'stalled' then score
            when step in ('inside', 'resumed') then stall_score
        end as stall_score,
        step
    from (
        select
            walk.episode_key,
            walk.instrument,
            scores.score_number,
            scores.score,
            walk.stretch_from,
            walk.stall_number,
            walk.stall_score,
            case
                when
                    walk.step in ('stalled', 'inside')
                    and (
                        not scores.is_clinical
                        or coalesce({{ ge(
                            gain_between('walk.stall_score', 'scores.score', 'scores'),
                            'scores.rc_total'
                        ) }}, false)
                    )
                    then 'resumed'
                when walk.step in ('stalled', 'inside') then 'inside'
                when
                    scores.session_number >= settings.min_session
                    and scores.score_number - walk.stretch_from + 1
                    >= settings.window_scores
                    and scores.has_little_gain
                    and scores.is_clinical
                    then 'stalled'
                else 'outside'
            end as step
        from walk
        inner join scores
            on
                walk.episode_key = scores.episode_key
                and walk.instrument = scores.instrument
                and walk.score_number + 1 = scores.score_number
        cross join settings
    ) as judged
),

final as (
    select
        episode_key,
        instrument,
        score_number,
        stall_number,
        step
    from walk
    where step <> 'start'
)

select * from final
