-- Spells in which recovery stalled: a prompt to look at the alliance again, not a failing
-- of the client.
-- Rule: measurement.md G3
with

spells as (
    select * from {{ ref('int_stall__spell') }}
),

weak_components as (
    select * from {{ ref('int_stall__weak_component') }}
),

reviews as (
    select * from {{ ref('int_stall__review') }}
),

final as (
    select
        spells.episode_key,
        spells.instrument,
        spells.stall_session_number,
        spells.stall_date,
        spells.status,
        coalesce(weak_components.weak_component, 'none') as weak_component,
        reviews.alliance_reviewed,
        spells.resumed_session_number,
        reviews.review_session_number,
        reviews.review_date,
        spells.resumed_date
    from spells
    inner join reviews
        on
            spells.episode_key = reviews.episode_key
            and spells.instrument = reviews.instrument
            and spells.stall_number = reviews.stall_number
    left join weak_components
        on
            spells.episode_key = weak_components.episode_key
            and spells.instrument = weak_components.instrument
            and spells.stall_number = weak_components.stall_number
)

select * from final
