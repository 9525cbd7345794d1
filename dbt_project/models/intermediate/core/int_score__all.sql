-- Every score row of every form that is a scale, by items, reported, or invalid.
-- Rule: measurement.md A4
with

scored as (
    select * from {{ ref('int_score__scored') }}
),

without_items as (
    select * from {{ ref('int_score__without_items') }}
),

final as (
    select
        administration_key,
        instrument,
        subscale,
        n_items,
        n_answered,
        score_origin,
        score,
        invalid_reason
    from scored
    union all
    select
        administration_key,
        instrument,
        subscale,
        n_items,
        n_answered,
        score_origin,
        score,
        invalid_reason
    from without_items
)

select * from final
