-- The one total row of a form that no item scores: a reported total in its range, or the
-- reason why there is none.
-- Rule: measurement.md A4.1, A4.4
with

forms as (
    select * from {{ ref('int_administration__timed') }}
    where coalesce(domain, 'none') <> 'form'
),

scored as (
    select distinct administration_key from {{ ref('int_score__scored') }}
),

scales as (
    select * from {{ ref('int_registry__scale') }} where subscale = 'total'
),

instruments as (
    select * from {{ ref('int_registry__instrument') }}
),

placed as (
    select
        forms.administration_key,
        forms.instrument,
        forms.is_known_instrument,
        forms.is_right_rater,
        forms.total_reported,
        scales.n_items,
        case
            when
                {{ ge('forms.total_reported', 'instruments.reported_min') }}
                and {{ le('forms.total_reported', 'instruments.reported_max') }}
                then forms.total_reported
            when
                {{ ge('forms.total_reported', 'instruments.sum_min') }}
                and {{ le('forms.total_reported', 'instruments.sum_max') }}
                then forms.total_reported / instruments.sum_divisor
        end as reported_score
    from forms
    left join scored on forms.administration_key = scored.administration_key
    left join scales on forms.instrument = scales.instrument
    left join instruments on forms.instrument = instruments.instrument
    where scored.administration_key is null
),

final as (
    select
        administration_key,
        instrument,
        'total' as subscale,
        case
            when is_known_instrument and is_right_rater then n_items
        end as n_items,
        0 as n_answered,
        case
            when not is_known_instrument or not is_right_rater then null
            when total_reported is null then 'items'
            else 'reported'
        end as score_origin,
        case
            when is_known_instrument and is_right_rater then reported_score
        end as score,
        case
            when not is_known_instrument then 'unknown_instrument'
            when not is_right_rater then 'wrong_rater'
            when total_reported is null then 'no_items'
            when reported_score is null then 'reported_out_of_range'
        end as invalid_reason
    from placed
)

select * from final
