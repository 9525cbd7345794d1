-- Every scale of every form that has at least one scored item answered, scored by its
-- own rule: a mean, or a prorated sum; totals made of subscales come after.
-- Rule: measurement.md A1, A2, A4.3
with

answered as (
    select * from {{ ref('int_item__answered') }} where value is not null
),

scales as (
    select
        scales.*,
        instruments.divisor
    from {{ ref('int_registry__scale') }} as scales
    inner join {{ ref('int_registry__instrument') }} as instruments
        on scales.instrument = instruments.instrument
),

counts as (
    select
        administration_key,
        instrument,
        subscale,
        cast(count(*) as integer) as n_answered,
        -- Rounded far below any item's unit: the order of the items leaves no trace.
        round(sum(value), 9) as answered_sum
    from answered
    group by administration_key, instrument, subscale
),

forms as (
    select distinct
        administration_key,
        instrument
    from counts
),

final as (
    select
        forms.administration_key,
        forms.instrument,
        scales.subscale,
        scales.rule,
        scales.n_items,
        coalesce(counts.n_answered, 0) as n_answered,
        scales.n_items - coalesce(counts.n_answered, 0)
        <= scales.max_missing as has_enough,
        case
            when scales.n_items - coalesce(counts.n_answered, 0) > scales.max_missing
                then null
            when scales.rule = 'mean'
                then counts.answered_sum / counts.n_answered
            when counts.n_answered = scales.n_items
                then counts.answered_sum / scales.divisor
            when scales.rule = 'sum'
                then
                    counts.answered_sum * scales.n_items / counts.n_answered
                    / scales.divisor
        end as score
    from forms
    inner join scales on forms.instrument = scales.instrument
    left join counts
        on
            forms.administration_key = counts.administration_key
            and scales.subscale = counts.subscale
)

select * from final
