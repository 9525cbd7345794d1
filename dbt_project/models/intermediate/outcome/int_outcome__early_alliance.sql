-- The early alliance of each episode: the client's total on the primary instrument at the
-- first of the set sessions that has one (3, 4, 5, 2, 1 unless set otherwise).
-- Rule: measurement.md G2
with

sessions as (
    select * from {{ ref('int_alliance__session_score') }} where client_total is not null
),

primary_instruments as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

placed as (
    select
        sessions.*,
        {{ alliance_band('sessions.client_total', 'sessions.instrument', 'parameters') }}
            as band,
        {{ place_in_setting('sessions.session_number', 'early.sessions') }} as place
    from sessions
    inner join primary_instruments
        on
            sessions.episode_key = primary_instruments.episode_key
            and sessions.instrument = primary_instruments.instrument
    inner join parameters on sessions.instrument = parameters.instrument
),

ranked as (
    select
        *,
        row_number() over (partition by episode_key order by place) as choice
    from placed
    where place > 0
),

final as (
    select
        episode_key,
        instrument,
        client_total as early_alliance,
        session_number as early_alliance_session,
        session_date as early_alliance_date,
        band as early_alliance_band
    from ranked
    where choice = 1
)

select * from final
