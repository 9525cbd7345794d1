-- First and last score of each episode and outcome instrument, with the change judged
-- against the instrument's reliable change.
-- Rule: measurement.md G1
with

scores as (
    select * from {{ ref('int_outcome__score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

ends as (
    select
        episode_key,
        instrument,
        max(n_scores) as n_scores,
        max(case when score_number = 1 then score end) as first_score,
        max(case when score_number = n_scores then score end) as last_score
    from scores
    group by episode_key, instrument
),

gains as (
    select
        ends.*,
        parameters.rc_total,
        case
            when parameters.higher_is_better then ends.last_score - ends.first_score
            else ends.first_score - ends.last_score
        end as gain
    from ends
    inner join parameters on ends.instrument = parameters.instrument
),

final as (
    select
        episode_key,
        instrument,
        n_scores,
        first_score,
        last_score,
        case
            when n_scores < 2 or rc_total is null then null
            when {{ ge('gain', 'rc_total') }} then 'improved'
            when {{ ge('-gain', 'rc_total') }} then 'deteriorated'
            else 'no_change'
        end as reliable_change
    from gains
)

select * from final
