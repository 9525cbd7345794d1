-- Every day of the years that metrics may be asked for; MetricFlow joins facts onto it.
with

numbers as (
    select {{ number_series(21914) }} as n
),

final as (
    select {{ days_after("date '2000-01-01'", 'n') }} as date_day
    from numbers
)

select * from final
