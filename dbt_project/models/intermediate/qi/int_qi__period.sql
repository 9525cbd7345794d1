-- The blocks of months that cohort tables show, counted from January.
-- Rule: quality_improvement.md 1.3, 1.4, 1.5
with

months as (
    select * from {{ ref('int_qi__month') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

blocks as (
    select distinct
        {{ block_of('month', setting('qi.cohort_months')) }} as period_start
    from months
),

final as (
    select
        blocks.period_start,
        {{ last_day_of_block('blocks.period_start', setting('qi.cohort_months')) }}
            as last_day,
        {{ days_between(
            'tonight.as_of',
            last_day_of_block('blocks.period_start', setting('qi.cohort_months'))
        ) }} < {{ setting('qi.settle_days') }} as is_partial
    from blocks
    cross join tonight
)

select * from final
