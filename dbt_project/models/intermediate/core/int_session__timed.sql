-- Each session of a known client with its zone, its start in UTC and its local date.
-- Rule: measurement.md B2
with

sessions as (
    select * from {{ ref('int_session__current') }}
),

clients as (
    select * from {{ ref('int_client__current') }}
),

clinics as (
    select * from {{ ref('int_clinic__current') }}
),

source_settings as (
    select * from {{ source('control', 'source_setting') }}
),

zoned as (
    select
        sessions.*,
        coalesce(sessions.timezone, clinics.timezone, source_settings.timezone) as zone
    from sessions
    inner join clients on sessions.client_key = clients.client_key
    left join clinics on sessions.clinic_key = clinics.clinic_key
    left join source_settings on sessions.source = source_settings.source
),

{{ read_by_clock('zoned', ['started_at', 'ended_at'], 'zone') }},

timed as (
    select
        *,
        {{ written_to_utc('started_at', 'zone') }} as started_at,
        {{ written_to_utc('ended_at', 'zone') }} as ended_at,
        {{ clock_finding('started_at', 'zone') }} as clock_finding
    from steadied
),

final as (
    select
        session_key,
        client_key,
        therapist_key,
        clinic_key,
        episode_key as named_episode_key,
        zone,
        started_at,
        {{ written_to_date('started_at', 'zone') }} as session_date,
        case
            when {{ seconds_between('ended_at', 'started_at') }} >= 0
                then cast(
                    floor({{ seconds_between('ended_at', 'started_at') }} / 60) as integer
                )
        end as duration_minutes,
        status,
        modality,
        treatment_approach,
        delivery_mode,
        diagnosis_codes,
        clock_finding,
        source
    from timed
)

select * from final
