-- The last twelve calendar months that are not partial.
-- Rule: quality_improvement.md 2, clinic_funnel
with

tonight as (
    select * from {{ source('control', 'run') }}
),

settled as (
    select {{ days_after('as_of', '1 - ' ~ setting('qi.settle_days')) }} as day_after
    from tonight
),

ended as (
    select {{ month_of('day_after') }} as next_month
    from settled
),

final as (
    select
        {{ days_after(last_day_of_block('next_month', -12), 1) }} as window_start,
        {{ last_day_of_block('next_month', 0) }} as window_end
    from ended
)

select * from final
