-- Each rupture of method default_rc3 at its onset, with the score that repaired it and
-- how many valid scores follow.
-- Rule: measurement.md D1
with

steps as (
    select * from {{ ref('int_rupture__default_step') }}
),

series as (
    select * from {{ ref('int_alliance__series') }}
),

repairs as (
    select * from steps where step = 'repair'
),

final as (
    select
        'default_rc3' as method,
        onsets.episode_key,
        onsets.instrument,
        onsets.series_therapist,
        series.series_therapist_key,
        series.client_key,
        onsets.score_number as onset_number,
        repairs.score_number as repair_number,
        onsets.reference_numbers,
        onsets.compared_with as baseline,
        series.client_total as onset_score,
        series.session_key as onset_session_key,
        series.session_number as onset_session_number,
        series.session_date as onset_date,
        repaired.session_number as repair_session_number,
        repaired.session_date as repair_date,
        series.n_series_scores - onsets.score_number as n_further
    from steps as onsets
    inner join series
        on
            onsets.episode_key = series.episode_key
            and onsets.instrument = series.instrument
            and onsets.series_therapist = series.series_therapist
            and onsets.score_number = series.score_number
    left join repairs
        on
            onsets.episode_key = repairs.episode_key
            and onsets.instrument = repairs.instrument
            and onsets.series_therapist = repairs.series_therapist
            and onsets.score_number = repairs.onset_number
    left join series as repaired
        on
            repairs.episode_key = repaired.episode_key
            and repairs.instrument = repaired.instrument
            and repairs.series_therapist = repaired.series_therapist
            and repairs.score_number = repaired.score_number
    where onsets.step = 'onset'
)

select * from final
