-- The zone of each client's last session, whatever its status: by it, forms and goals are
-- dated that name nothing nearer.
-- Rule: measurement.md B2
with

sessions as (
    select * from {{ ref('int_session__timed') }}
),

ranked as (
    select
        client_key,
        zone,
        row_number() over (
            partition by client_key
            order by started_at desc, session_key desc
        ) as choice
    from sessions
),

final as (
    select
        client_key,
        zone
    from ranked
    where choice = 1
)

select * from final
