-- Each rupture at its onset, with the score that repaired it, its trough, and how many
-- valid scores follow.
-- Rule: measurement.md D1
with

steps as (
    select * from {{ ref('int_rupture__step') }} where onset_number is not null
),

scores as (
    select * from {{ ref('int_rupture__score') }}
),

-- A rupture that its own session repaired (`passing`) is onset and repair at once.
ruptures as (
    select
        steps.method,
        steps.walk_no,
        steps.series_no,
        steps.onset_number,
        max(
            case when steps.step in ('repair', 'passing') then steps.score_number end
        ) as repair_number,
        max(
            case when steps.step in ('onset', 'passing') then steps.compared_with end
        ) as baseline,
        max(
            case when steps.step in ('onset', 'passing') then steps.reference_from end
        ) as reference_from,
        min(case when steps.step <> 'repair' then scores.score end) as trough_score
    from steps
    inner join scores
        on steps.series_no = scores.series_no and steps.score_number = scores.score_number
    group by steps.method, steps.walk_no, steps.series_no, steps.onset_number
),

final as (
    select
        ruptures.method,
        ruptures.walk_no,
        ruptures.series_no,
        onsets.episode_key,
        onsets.client_key,
        onsets.instrument,
        onsets.series_therapist,
        onsets.series_therapist_key,
        ruptures.onset_number,
        ruptures.repair_number,
        ruptures.reference_from,
        ruptures.baseline,
        onsets.score as onset_score,
        ruptures.trough_score,
        onsets.intensity as onset_intensity,
        onsets.session_key as onset_session_key,
        onsets.session_number as onset_session_number,
        onsets.session_date as onset_date,
        repairs.session_number as repair_session_number,
        repairs.session_date as repair_date,
        onsets.n_series_scores - ruptures.onset_number as n_further
    from ruptures
    inner join scores as onsets
        on
            ruptures.series_no = onsets.series_no
            and ruptures.onset_number = onsets.score_number
    left join scores as repairs
        on
            ruptures.series_no = repairs.series_no
            and ruptures.repair_number = repairs.score_number
)

select * from final
