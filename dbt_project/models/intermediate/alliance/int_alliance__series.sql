-- Valid client totals in session order, with their place in the series: one episode, one
-- instrument, one therapist. A covering therapist starts another series.
-- Rule: measurement.md C
with

scores as (
    select * from {{ ref('int_alliance__session_score') }} where client_total is not null
),

final as (
    select
        episode_key,
        client_key,
        instrument,
        series_therapist_key,
        coalesce(series_therapist_key, 'none') as series_therapist,
        session_key,
        session_number,
        session_date,
        client_total,
        client_goal,
        client_task,
        client_bond,
        client_overall,
        cast(row_number() over (
            partition by episode_key, instrument, series_therapist_key
            order by session_number
        ) as integer) as score_number,
        cast(count(*) over (
            partition by episode_key, instrument, series_therapist_key
        ) as integer) as n_series_scores
    from scores
)

select * from final
