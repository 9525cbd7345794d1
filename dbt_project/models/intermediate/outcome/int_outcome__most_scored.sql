-- Whether each episode improved reliably on its outcome instrument with most scores; a
-- tie goes by the order of the registry.
-- Rule: measurement.md G4
with

outcomes as (
    select * from {{ ref('int_outcome__episode') }}
),

ranked as (
    select
        episode_key,
        coalesce(reliable_change = 'improved', false) as has_improved,
        row_number() over (
            partition by episode_key
            order by
                n_scores desc,
                registry_order asc,
                instrument asc
        ) as choice
    from outcomes
),

final as (
    select
        episode_key,
        has_improved
    from ranked
    where choice = 1
)

select * from final
