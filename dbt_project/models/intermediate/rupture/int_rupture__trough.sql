-- The lowest score of each rupture, from its onset up to, not including, its repair.
-- Rule: measurement.md D1
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

series as (
    select * from {{ ref('int_alliance__series') }}
),

final as (
    select
        ruptures.method,
        ruptures.episode_key,
        ruptures.instrument,
        ruptures.series_therapist,
        ruptures.onset_number,
        min(series.client_total) as trough_score
    from ruptures
    inner join series
        on
            ruptures.episode_key = series.episode_key
            and ruptures.instrument = series.instrument
            and ruptures.series_therapist = series.series_therapist
    where
        series.score_number >= ruptures.onset_number
        and (
            ruptures.repair_number is null
            or series.score_number < ruptures.repair_number
        )
    group by
        ruptures.method,
        ruptures.episode_key,
        ruptures.instrument,
        ruptures.series_therapist,
        ruptures.onset_number
)

select * from final
