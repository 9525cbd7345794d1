-- The scores of the used alliance forms of client and therapist, with their session.
-- Rule: measurement.md B10, C
with

used as (
    select * from {{ ref('int_administration__used') }}
    where domain = 'alliance' and rater in ('client', 'therapist')
),

scores as (
    select * from {{ ref('int_score__all') }}
),

episodes as (
    select * from {{ ref('int_episode__described') }}
),

final as (
    select
        used.session_key,
        used.session_number,
        used.session_date,
        used.episode_key,
        used.client_key,
        coalesce(
            used.session_therapist_key, used.therapist_key, episodes.therapist_key
        ) as series_therapist_key,
        used.instrument,
        used.rater,
        scores.subscale,
        scores.score,
        scores.score is not null as is_valid,
        used.administration_key
    from used
    inner join scores on used.administration_key = scores.administration_key
    inner join episodes on used.episode_key = episodes.episode_key
)

select * from final
