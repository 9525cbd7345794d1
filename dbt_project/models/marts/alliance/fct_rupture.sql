-- One row a rupture a method, with the night that it was first seen on. Counts of
-- different methods are never counts of the same thing.
-- Rule: measurement.md D1
with

ruptures as (
    select * from {{ ref('int_rupture__described') }}
),

first_seen as (
    select * from {{ source('control', 'first_seen') }} where kind = 'rupture'
),

tonight as (
    select * from {{ source('control', 'run') }}
),

final as (
    select
        ruptures.*,
        coalesce(first_seen.first_seen_at, tonight.as_of_at) as first_seen_at
    from ruptures
    cross join tonight
    left join first_seen on ruptures.rupture_key = first_seen.key
)

select * from final
