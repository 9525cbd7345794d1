-- One episode and outcome instrument: where it began, where it stands, whether the change
-- is beyond measurement error, and how the alliance was early on.
-- Rule: measurement.md G1, G2
with

outcomes as (
    select * from {{ ref('int_outcome__episode') }}
),

early as (
    select * from {{ ref('int_outcome__early_alliance') }}
),

final as (
    select
        outcomes.episode_key,
        outcomes.instrument,
        outcomes.first_score,
        outcomes.last_score,
        outcomes.change,
        outcomes.reliable_change,
        outcomes.clinical_class,
        outcomes.n_scores,
        early.early_alliance,
        early.early_alliance_session,
        early.early_alliance_band
    from outcomes
    left join early on outcomes.episode_key = early.episode_key
)

select * from final
