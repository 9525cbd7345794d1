-- First and last score of each episode and outcome instrument, the change between them
-- judged against the instrument's reliable change, and the class it comes to.
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
        cast(max(n_scores) as integer) as n_scores,
        max(case when score_number = 1 then score end) as first_score,
        max(case when score_number = n_scores then score end) as last_score
    from scores
    group by episode_key, instrument
),

judged as (
    select
        ends.*,
        parameters.registry_order,
        parameters.rc_total,
        parameters.clinical_cut,
        {{ gain_between('ends.first_score', 'ends.last_score', 'parameters') }} as gain,
        {{ is_clinical('ends.first_score', 'parameters') }} as is_first_clinical,
        {{ is_clinical('ends.last_score', 'parameters') }} as is_last_clinical,
        {{ is_functional('ends.last_score', 'parameters') }} as is_last_functional
    from ends
    inner join parameters on ends.instrument = parameters.instrument
),

changed as (
    select
        *,
        case
            when n_scores < 2 or rc_total is null then null
            when {{ ge('gain', 'rc_total') }} then 'improved'
            when {{ ge('-gain', 'rc_total') }} then 'deteriorated'
            else 'no_change'
        end as reliable_change,
        case
            when {{ setting_text('outcomes.recovery_rule') }} = 'nhs'
                then not is_last_clinical
            else {{ ge('gain', 'rc_total') }} and coalesce(is_last_functional, false)
        end as is_recovered
    from judged
),

final as (
    select
        episode_key,
        instrument,
        registry_order,
        n_scores,
        first_score,
        last_score,
        case when n_scores > 1 then last_score - first_score end as change,
        reliable_change,
        case
            when n_scores < 2 or rc_total is null or clinical_cut is null
                then 'insufficient'
            when reliable_change = 'deteriorated' then 'deteriorated'
            when not is_first_clinical then 'not_at_risk'
            when is_recovered then 'recovered'
            when reliable_change = 'improved' then 'improved'
            else 'unchanged'
        end as clinical_class
    from changed
)

select * from final
