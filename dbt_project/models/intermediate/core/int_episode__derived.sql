-- Derived episodes: runs of attended sessions that no reported episode holds. One is
-- closed when the client has a later one, or its gap has passed by the as-of date.
-- Rule: measurement.md B5
with

starts as (
    select distinct
        client_key,
        source,
        opened_on,
        last_attended_on
    from {{ ref('int_session__derived_start') }}
),

per_episode as (
    select
        client_key,
        opened_on,
        last_attended_on,
        min(source) as source
    from starts
    group by client_key, opened_on, last_attended_on
),

followed as (
    select
        *,
        lead(opened_on) over (
            partition by client_key order by opened_on
        ) as next_opened_on
    from per_episode
),

final as (
    select
        {{ keyed_hash('ep_', ["'derived:'", 'client_key', 'cast(opened_on as string)']) }}
            as episode_key,
        client_key,
        source,
        opened_on,
        last_attended_on,
        next_opened_on is not null
        or {{ days_between(as_of(), 'last_attended_on') }}
        > {{ setting('episodes.gap_days') }} as is_closed
    from followed
)

select * from final
