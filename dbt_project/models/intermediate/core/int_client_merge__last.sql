-- The id that each merged client id ends at: chains followed to their end; a merge that
-- leads back to where it began does not count.
-- Rule: measurement.md B1
with recursive

client_merges as (
    select * from {{ ref('int_client_merge__current') }}
),

-- Every id that each old id leads to, each once, so a cycle ends: Spark has no `union` in
-- a recursion that would see to it.
reach as (
    select
        old_client_key,
        new_client_key as reached_key,
        '|' || new_client_key || '|' as trail
    from client_merges
    union all
    select
        reach.old_client_key,
        client_merges.new_client_key as reached_key,
        reach.trail || client_merges.new_client_key || '|' as trail
    from reach
    inner join client_merges
        on
            reach.reached_key = client_merges.old_client_key
            and position('|' || client_merges.new_client_key || '|' in reach.trail) = 0
),

counted as (
    select client_merges.*
    from client_merges
    left join reach
        on
            client_merges.old_client_key = reach.old_client_key
            and client_merges.old_client_key = reach.reached_key
    where reach.old_client_key is null
),

walk as (
    select
        old_client_key,
        new_client_key as client_key
    from counted
    union all
    select
        walk.old_client_key,
        counted.new_client_key as client_key
    from walk
    inner join counted on walk.client_key = counted.old_client_key
),

final as (
    select walk.*
    from walk
    left join counted on walk.client_key = counted.old_client_key
    where counted.old_client_key is null
)

select * from final
