-- The registry: the rows that come with the project, and those that the clinic adds.
-- Rule: measurement.md A
with

shipped as (
    select * from {{ ref('instrument_alias') }}
),

own as (
    select * from {{ source('control', 'own_instrument_alias') }}
),

final as (
    select
        alias,
        instrument,
        rater
    from shipped
    union all
    select
        alias,
        instrument,
        rater
    from own
)

select * from final
