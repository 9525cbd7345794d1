-- The common shape of what the engine walks over: each scored session of each series, of
-- alliance totals and of PSQ forms, with a number for the series.
-- Rule: measurement.md C, D1
with

totals as (
    select * from {{ ref('int_alliance__series') }}
),

tensions as (
    select * from {{ ref('int_alliance__psq') }}
),

scored as (
    select
        episode_key,
        client_key,
        instrument,
        series_therapist_key,
        series_therapist,
        session_key,
        session_number,
        session_date,
        score_number,
        n_series_scores,
        client_total as score,
        client_goal,
        client_task,
        client_bond,
        client_overall,
        cast(null as boolean) as is_tense,
        cast(null as integer) as intensity,
        cast(null as integer) as resolved
    from totals
    union all
    select
        episode_key,
        client_key,
        'PSQ' as instrument,
        series_therapist_key,
        series_therapist,
        session_key,
        session_number,
        session_date,
        score_number,
        n_series_scores,
        cast(null as double) as score,
        cast(null as double) as client_goal,
        cast(null as double) as client_task,
        cast(null as double) as client_bond,
        cast(null as double) as client_overall,
        is_tense,
        intensity,
        resolved
    from tensions
),

final as (
    select
        cast(dense_rank() over (
            order by scored.instrument, scored.episode_key, scored.series_therapist
        ) as bigint) as series_no,
        scored.*
    from scored
)

select * from final
