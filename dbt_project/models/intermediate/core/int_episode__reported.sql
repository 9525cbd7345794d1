-- Reported episodes of known clients that were opened on or before the as-of date.
-- Rule: measurement.md B4
with

episodes as (
    select * from {{ ref('int_episode__current') }}
),

clients as (
    select * from {{ ref('int_client__current') }}
),

final as (
    select episodes.*
    from episodes
    inner join clients on episodes.client_key = clients.client_key
    where episodes.opened_on <= {{ as_of() }}
)

select * from final
