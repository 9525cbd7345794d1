-- What became of each default rupture of the primary instrument: its repair, and the last
-- score of its repair window when that passed without one.
-- Rule: measurement.md D1, I
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }} where method = 'default_rc3'
),

primaries as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

series as (
    select * from {{ ref('int_alliance__series') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

settings as (
    select cast({{ setting('rupture.repair_window') }} as integer) as repair_window
),

final as (
    select
        ruptures.episode_key,
        ruptures.instrument,
        ruptures.series_therapist,
        ruptures.series_therapist_key,
        ruptures.onset_session_key,
        ruptures.onset_session_number,
        ruptures.onset_date,
        (ruptures.baseline - ruptures.onset_score) / parameters.rc_total as drop_ratio,
        coalesce(
            ruptures.repair_number - ruptures.onset_number <= settings.repair_window, false
        ) as is_repaired_in_time,
        ruptures.repair_session_number,
        ruptures.repair_date,
        escalations.session_number as escalated_session_number,
        escalations.session_date as escalated_on
    from ruptures
    inner join primaries
        on
            ruptures.episode_key = primaries.episode_key
            and ruptures.instrument = primaries.instrument
    inner join parameters on ruptures.instrument = parameters.instrument
    cross join settings
    left join series as escalations
        on
            ruptures.episode_key = escalations.episode_key
            and ruptures.instrument = escalations.instrument
            and ruptures.series_therapist = escalations.series_therapist
            and ruptures.onset_number + settings.repair_window = escalations.score_number
            and (
                ruptures.repair_number is null
                or ruptures.repair_number - ruptures.onset_number > settings.repair_window
            )
)

select * from final
