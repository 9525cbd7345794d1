-- Every score row of forms with answered items: subscales, and totals by items or by
-- their subscales. The ten-item therapist form in circulation is never scored with the
-- twelve-item key.
-- Rule: measurement.md A1, A4.3
with

scales as (
    select * from {{ ref('int_score__subscale') }}
),

forms as (
    select * from {{ ref('int_administration__timed') }}
),

answered as (
    select * from {{ ref('int_item__answered') }}
    where value is not null and subscale = 'total'
),

-- In a fixed order, so that the sum is the same sum every night.
subscale_totals as (
    select
        administration_key,
        count(*) = count(score) as are_all_valid,
        {{ sum_of(ordered_list('score', 'subscale')) }} as score_sum,
        count(*) as n_subscales
    from scales
    where subscale <> 'total'
    group by administration_key
),

mismatches as (
    select answered.administration_key
    from answered
    inner join forms on answered.administration_key = forms.administration_key
    where forms.instrument = 'WAI-SR' and forms.rater = 'therapist'
    group by answered.administration_key
    having
        count(*) = 10
        and count(*) filter (where answered.item in ('11', '12')) = 0
),

totalled as (
    select
        scales.administration_key,
        scales.instrument,
        scales.subscale,
        scales.n_items,
        scales.n_answered,
        case
            when scales.rule = 'mean_of_subscales' and subscale_totals.are_all_valid
                then subscale_totals.score_sum / subscale_totals.n_subscales
            when scales.rule = 'sum_of_subscales' and subscale_totals.are_all_valid
                then subscale_totals.score_sum
            when scales.rule in ('mean', 'sum') then scales.score
        end as score,
        scales.rule in ('mean_of_subscales', 'sum_of_subscales') as is_of_subscales
    from scales
    left join subscale_totals
        on scales.administration_key = subscale_totals.administration_key
),

final as (
    select
        totalled.administration_key,
        totalled.instrument,
        totalled.subscale,
        totalled.n_items,
        totalled.n_answered,
        case
            when totalled.n_answered = totalled.n_items then 'items' else 'prorated'
        end as score_origin,
        case
            when mismatches.administration_key is null then totalled.score
        end as score,
        case
            when mismatches.administration_key is not null then 'form_mismatch'
            when totalled.score is not null then null
            when totalled.is_of_subscales then 'subscale_invalid'
            else 'too_many_missing'
        end as invalid_reason
    from totalled
    left join mismatches
        on totalled.administration_key = mismatches.administration_key
)

select * from final
