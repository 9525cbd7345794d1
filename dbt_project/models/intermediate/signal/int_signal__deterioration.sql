-- Signal `deterioration`: from an outcome score reliably worse than the episode's first to
-- the next one that is not. Each run of such scores is one opening.
-- Rule: measurement.md I, G1
with

scores as (
    select * from {{ ref('int_outcome__score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }} where rc_total is not null
),

compared as (
    select
        scores.*,
        parameters.rc_total,
        case
            when parameters.higher_is_better
                then first_value(scores.score) over (
                    partition by scores.episode_key, scores.instrument
                    order by scores.score_number
                ) - scores.score
            else scores.score - first_value(scores.score) over (
                partition by scores.episode_key, scores.instrument
                order by scores.score_number
            )
        end as loss
    from scores
    inner join parameters on scores.instrument = parameters.instrument
),

judged as (
    select
        *,
        {{ ge('loss', 'rc_total') }} as is_worse
    from compared
),

runs as (
    select
        *,
        lag(is_worse, 1, false) over (
            partition by episode_key, instrument order by score_number
        ) as was_worse,
        min(case when not is_worse then administered_on end) over (
            partition by episode_key, instrument
            order by score_number
            rows between 1 following and unbounded following
        ) as recovered_on
    from judged
),

final as (
    select
        'deterioration' as signal,
        instrument,
        episode_key,
        administered_on as opened_on,
        score_number as opened_order,
        recovered_on as closed_on,
        case when recovered_on is not null then 'recovered' end as closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', "'reliable_change'"],
            ['opened_session', 'whole', 'session_number'],
            ['loss_ratio', 'ratio', 'loss / rc_total'],
        ]) }} as evidence
    from runs
    where is_worse and not was_worse
)

select * from final
