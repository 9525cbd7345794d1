-- The main outcome row of each episode: the instrument with the most scores, then by name.
-- Rule: quality_improvement.md, "main outcome row"
with

outcomes as (
    select * from {{ ref('fct_episode_outcome') }}
),

chosen as (
    select
        *,
        row_number() over (
            partition by episode_key
            order by n_scores desc, instrument asc
        ) as choice
    from outcomes
),

final as (
    select
        episode_key,
        instrument,
        early_alliance_band,
        clinical_class,
        reliable_change
    from chosen
    where choice = 1
)

select * from final
