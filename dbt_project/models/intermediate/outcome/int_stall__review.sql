-- The first of the next attended sessions after a stall at which the alliance was looked
-- at: a client's alliance total on any instrument, or strengthening work.
-- Rule: measurement.md G3
with

spells as (
    select * from {{ ref('int_stall__spell') }}
),

looked_at as (
    select
        episode_key,
        session_number,
        session_date
    from {{ ref('int_alliance__session_score') }}
    where client_total is not null
    union
    select
        episode_key,
        session_number,
        session_date
    from {{ ref('int_alliance__strengthening') }}
),

reviews as (
    select
        spells.episode_key,
        spells.instrument,
        spells.stall_number,
        looked_at.session_number as review_session_number,
        looked_at.session_date as review_date,
        row_number() over (
            partition by spells.episode_key, spells.instrument, spells.stall_number
            order by looked_at.session_number
        ) as choice
    from spells
    inner join looked_at
        on
            spells.episode_key = looked_at.episode_key
            and spells.stall_session_number < looked_at.session_number
            and spells.stall_session_number + {{ setting('stall.review_sessions') }}
            >= looked_at.session_number
),

final as (
    select
        spells.episode_key,
        spells.instrument,
        spells.stall_number,
        reviews.review_session_number,
        reviews.review_date,
        case
            when reviews.stall_number is not null then true
            when
                spells.n_attended - spells.stall_session_number
                >= {{ setting('stall.review_sessions') }}
                or spells.is_closed
                then false
        end as alliance_reviewed
    from spells
    left join reviews
        on
            spells.episode_key = reviews.episode_key
            and spells.instrument = reviews.instrument
            and spells.stall_number = reviews.stall_number
            and reviews.choice = 1
)

select * from final
