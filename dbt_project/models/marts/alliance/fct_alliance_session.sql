-- Client's and therapist's view of the alliance at each session, side by side, with the
-- band of the client's total and where it stands against its baseline.
-- Rule: measurement.md C
with

scores as (
    select * from {{ ref('int_alliance__session_score') }}
),

rows_with_any as (
    select distinct
        session_key,
        instrument
    from {{ ref('int_score__used') }}
    where is_valid
),

series as (
    select * from {{ ref('int_alliance__series') }}
),

steps as (
    select * from {{ ref('int_rupture__default_step') }}
),

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

baselines as (
    select
        series.session_key,
        series.instrument,
        steps.compared_with as baseline
    from series
    inner join steps
        on
            series.episode_key = steps.episode_key
            and series.instrument = steps.instrument
            and series.series_therapist = steps.series_therapist
            and series.score_number = steps.score_number
),

inside as (
    select distinct
        scores.session_key,
        scores.instrument
    from scores
    inner join ruptures
        on
            scores.episode_key = ruptures.episode_key
            and scores.instrument = ruptures.instrument
            and coalesce(scores.series_therapist_key, 'none') = ruptures.series_therapist
    where
        ruptures.onset_session_number <= scores.session_number
        and (
            ruptures.repair_session_number is null
            or scores.session_number < ruptures.repair_session_number
        )
),

final as (
    select
        scores.episode_key,
        scores.session_key,
        scores.session_number,
        scores.session_date,
        scores.instrument,
        scores.client_total,
        scores.client_goal,
        scores.client_task,
        scores.client_bond,
        scores.therapist_total,
        scores.therapist_goal,
        scores.therapist_task,
        scores.therapist_bond,
        scores.therapist_total - scores.client_total as gap_total,
        scores.therapist_goal - scores.client_goal as gap_goal,
        scores.therapist_task - scores.client_task as gap_task,
        scores.therapist_bond - scores.client_bond as gap_bond,
        case
            when scores.client_total is null then null
            when scores.instrument = 'SRS'
                then case
                    when {{ le('scores.client_total', 34) }} then 'weak'
                    when {{ lt('scores.client_total', 39) }} then 'moderate'
                    else 'strong'
                end
            when
                {{ lt(
                    'scores.client_total',
                    band_level('alliance.band_weak_below', 'parameters')
                ) }}
                then 'weak'
            when
                {{ lt(
                    'scores.client_total',
                    band_level('alliance.band_strong_from', 'parameters')
                ) }}
                then 'moderate'
            else 'strong'
        end as band,
        baselines.baseline,
        inside.session_key is not null as in_open_rupture
    from scores
    inner join rows_with_any
        on
            scores.session_key = rows_with_any.session_key
            and scores.instrument = rows_with_any.instrument
    inner join parameters on scores.instrument = parameters.instrument
    left join baselines
        on
            scores.session_key = baselines.session_key
            and scores.instrument = baselines.instrument
    left join inside
        on
            scores.session_key = inside.session_key
            and scores.instrument = inside.instrument
)

select * from final
