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

-- In a fixed order, so that the sum is the same sum every night.
subscale_totals as (
    select
        scales.administration_key,
        count(*) = count(scales.score) as are_all_valid,
        {{ sum_of(ordered_list('scales.score', 'scales.subscale')) }} as score_sum,
        count(*) as n_subscales
    from scales
    where
        scales.subscale <> 'total'
        and scales.administration_key in (
            select totals.administration_key from scales as totals
            where totals.rule in ('mean_of_subscales', 'sum_of_subscales')
        )
    group by scales.administration_key
),

-- Ten items answered, neither of the last two among them.
ten_answered as (
    select scales.administration_key
    from scales
    inner join forms on scales.administration_key = forms.administration_key
    where
        scales.instrument = 'WAI-SR'
        and scales.subscale = 'total'
        and scales.n_answered = 10
        and forms.rater = 'therapist'
),

last_two as (
    select distinct administration_key
    from {{ ref('int_item__answered') }}
    where
        instrument = 'WAI-SR'
        and subscale = 'total'
        and item in ('11', '12')
        and value is not null
),

mismatches as (
    select ten_answered.administration_key
    from ten_answered
    left join last_two on ten_answered.administration_key = last_two.administration_key
    where last_two.administration_key is null
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
