-- The months that every monthly table shows, up to the month of the as-of date, and
-- whether late forms may still come in.
-- Rule: quality_improvement.md 1.4, 1.5
with

sessions as (
    select * from {{ ref('fct_session') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

bounds as (
    select
        {{ month_of('max(tonight.as_of)') }} as last_month,
        coalesce(
            cast({{ setting_text('qi.first_month') }} as date),
            {{ month_of('min(sessions.session_date)') }}
        ) as first_month
    from tonight
    left join sessions
        on tonight.as_of >= sessions.session_date and sessions.status = 'attended'
),

months as (
    select {{ month_series('first_month', 'last_month', 1) }} as month
    from bounds
    where first_month <= last_month
),

final as (
    select
        months.month,
        {{ last_day_of_block('months.month', 1) }} as last_day,
        {{ days_between('tonight.as_of', last_day_of_block('months.month', 1)) }}
        < {{ setting('qi.settle_days') }} as is_partial
    from months
    cross join tonight
)

select * from final
