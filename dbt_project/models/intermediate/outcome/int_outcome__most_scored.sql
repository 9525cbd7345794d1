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
                case instrument
                    when 'PCL-5' then 1
                    when 'PHQ-9' then 2
                    when 'GAD-7' then 3
                    when 'CORE-10' then 4
                    when 'OQ-45' then 5
                    when 'ORS' then 6
                    else 7
                end
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
