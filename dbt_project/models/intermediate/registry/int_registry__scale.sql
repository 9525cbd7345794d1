-- The registry: the rows that come with the project, and those that the clinic adds.
-- Rule: measurement.md A
with

shipped as (
    select * from {{ ref('instrument_scale') }}
),

own as (
    select * from {{ source('control', 'own_instrument_scale') }}
),

final as (
    select
        instrument,
        subscale,
        n_items,
        rule,
        max_missing,
        scale_min,
        scale_max
    from shipped
    union all
    select
        instrument,
        subscale,
        n_items,
        rule,
        max_missing,
        scale_min,
        scale_max
    from own
)

select * from final
