-- The alliance instrument of each episode: the one that is set, else the one with most
-- sessions with a valid client total; a tie goes to WAI-SR, WAI-S, SRS in that order.
-- Rule: measurement.md C
with

series as (
    select * from {{ ref('int_alliance__series') }}
),

counts as (
    select
        episode_key,
        instrument,
        count(*) as n_scores
    from series
    group by episode_key, instrument
),

ranked as (
    select
        episode_key,
        instrument,
        row_number() over (
            partition by episode_key
            order by
                n_scores desc,
                case instrument when 'WAI-SR' then 1 when 'WAI-S' then 2 else 3 end
        ) as choice
    from counts
    where
        {{ setting_text('alliance.primary_instrument') }}
        in ('auto', instrument)
),

final as (
    select
        episode_key,
        instrument
    from ranked
    where choice = 1
)

select * from final
