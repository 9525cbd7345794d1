-- The registry: the rows that come with the project, and those that the clinic adds.
-- Rule: measurement.md A
with

shipped as (
    select * from {{ ref('instrument_rater') }}
),

own as (
    select * from {{ source('control', 'own_instrument_rater') }}
),

final as (
    select
        instrument,
        rater
    from shipped
    union all
    select
        instrument,
        rater
    from own
)

select * from final
