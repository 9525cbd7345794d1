-- Each filled-in form of a known client up to the as-of date, under its canonical
-- instrument, with its UTC moment and local date.
-- The zone is that of the session it names, else of its therapist's clinic, else of the
-- client's last session, else of the source; a bare date stays that date.
-- Rule: measurement.md A, A4.1, B2
with

forms as (
    select * from {{ ref('int_measure__current') }}
),

clients as (
    select * from {{ ref('int_client__current') }}
),

sessions as (
    select * from {{ ref('int_session__timed') }}
),

therapist_zones as (
    select
        therapists.therapist_key,
        clinics.timezone as zone
    from {{ ref('int_therapist__current') }} as therapists
    inner join {{ ref('int_clinic__current') }} as clinics
        on therapists.clinic_key = clinics.clinic_key
),

client_zones as (
    select * from {{ ref('int_client__zone') }}
),

source_settings as (
    select * from {{ source('control', 'source_setting') }}
),

aliases as (
    select * from {{ ref('int_registry__alias') }}
),

instruments as (
    select * from {{ ref('int_registry__instrument') }}
),

raters as (
    select * from {{ ref('int_registry__rater') }}
),

zoned as (
    select
        forms.*,
        coalesce(
            named.zone, therapist_zones.zone, client_zones.zone, source_settings.timezone
        ) as zone
    from forms
    inner join clients on forms.client_key = clients.client_key
    left join sessions as named
        on
            forms.session_key = named.session_key
            and forms.client_key = named.client_key
    left join therapist_zones on forms.therapist_key = therapist_zones.therapist_key
    left join client_zones on forms.client_key = client_zones.client_key
    left join source_settings on forms.source = source_settings.source
),

{{ read_by_clock('zoned', ['administered_at'], 'zone') }},

timed as (
    select
        steadied.*,
        {{ written_to_utc('administered_at', 'zone') }} as administered_at,
        {{ clock_finding('administered_at', 'zone') }} as clock_finding
    from steadied
),

dated as (
    select
        *,
        {{ written_to_date('administered_at', 'zone') }} as administered_on
    from timed
),

final as (
    select
        dated.administration_key,
        dated.client_key,
        dated.therapist_key,
        dated.session_key as named_session_key,
        coalesce(aliases.instrument, dated.instrument) as instrument,
        coalesce(dated.version, instruments.default_version) as version,
        dated.rater,
        instruments.domain,
        instruments.instrument is not null as is_known_instrument,
        raters.rater is not null
        and (aliases.rater is null or aliases.rater = dated.rater) as is_right_rater,
        dated.total_reported,
        dated.administered_at,
        dated.administered_on,
        dated.updated_at,
        dated.version is not null
        and dated.version <> instruments.default_version as is_other_version,
        dated.clock_finding,
        dated.source
    from dated
    left join aliases on dated.instrument = aliases.alias
    left join instruments
        on coalesce(aliases.instrument, dated.instrument) = instruments.instrument
    left join raters
        on
            coalesce(aliases.instrument, dated.instrument) = raters.instrument
            and dated.rater = raters.rater
    where dated.administered_on <= {{ as_of() }}
)

select * from final
