-- Sessions where the therapist recorded work that strengthens the alliance, with the
-- rupture that stood then. It says what came after a rupture, never what caused a repair.
-- Rule: measurement.md E
with

placed as (
    select * from {{ ref('int_alliance__strengthening') }}
),

primary_instruments as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

ruptures as (
    select ruptures.*
    from {{ ref('fct_rupture') }} as ruptures
    inner join primary_instruments
        on
            ruptures.episode_key = primary_instruments.episode_key
            and ruptures.instrument = primary_instruments.instrument
    where ruptures.method = 'default_rc3'
),

standing as (
    select
        placed.session_key,
        ruptures.rupture_key,
        ruptures.status,
        row_number() over (
            partition by placed.session_key
            order by ruptures.onset_session_number desc, ruptures.rupture_key asc
        ) as choice
    from placed
    inner join ruptures
        on
            placed.episode_key = ruptures.episode_key
            and placed.session_number >= ruptures.onset_session_number
            and (
                ruptures.repair_session_number is null
                or placed.session_number <= ruptures.repair_session_number
            )
),

final as (
    select
        placed.episode_key,
        placed.session_key,
        placed.session_number,
        placed.session_date,
        placed.destigmatize,
        placed.compassion,
        placed.co_create,
        standing.rupture_key as after_rupture,
        case
            when standing.status in ('resolved', 'late_repair') then true
            when standing.status in ('unresolved', 'unresolved_at_close') then false
        end as repaired_after
    from placed
    left join standing
        on placed.session_key = standing.session_key and standing.choice = 1
)

select * from final
