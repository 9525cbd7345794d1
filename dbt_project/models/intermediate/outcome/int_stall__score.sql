-- Scores of the instruments that stalls are looked for on, each with its session number
-- (its session's, else that of the last attended session by its date) and what the rule
-- asks of it.
-- Rule: measurement.md G3
with

scores as (
    select * from {{ ref('int_outcome__score') }}
    where {{ place_in_setting('instrument', 'stall.instruments') }} > 0
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

attended as (
    select * from {{ ref('int_session__numbered') }} where session_number is not null
),

last_attended as (
    select
        scores.administration_key,
        max(attended.session_number) as session_number
    from scores
    inner join attended
        on
            scores.episode_key = attended.episode_key
            and scores.administered_on >= attended.session_date
    where scores.session_number is null
    group by scores.administration_key
),

-- The score with which the window of the last few scores begins.
windows as (
    select
        later.administration_key,
        earlier.score as window_score
    from scores as later
    inner join scores as earlier
        on
            later.episode_key = earlier.episode_key
            and later.instrument = earlier.instrument
            and later.score_number - {{ setting('stall.window_scores') }} + 1
            = earlier.score_number
),

final as (
    select
        scores.episode_key,
        scores.instrument,
        scores.score_number,
        scores.score,
        scores.administered_on,
        coalesce(
            scores.session_number, last_attended.session_number, 0
        ) as session_number,
        parameters.rc_total,
        parameters.higher_is_better,
        coalesce({{ is_clinical('scores.score', 'parameters') }}, false) as is_clinical,
        coalesce({{ lt(
            gain_between('windows.window_score', 'scores.score', 'parameters'),
            setting('stall.min_gain')
        ) }}, false) as has_little_gain
    from scores
    inner join parameters on scores.instrument = parameters.instrument
    left join last_attended
        on scores.administration_key = last_attended.administration_key
    left join windows on scores.administration_key = windows.administration_key
)

select * from final
