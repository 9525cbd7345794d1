-- The registry: the rows that come with the project, and those that the clinic adds.
-- Rule: measurement.md A
with

shipped as (
    select * from {{ ref('instrument_item') }}
),

own as (
    select * from {{ source('control', 'own_instrument_item') }}
),

final as (
    select
        instrument,
        subscale,
        item,
        is_reversed
    from shipped
    union all
    select
        instrument,
        subscale,
        item,
        is_reversed
    from own
)

select * from final
