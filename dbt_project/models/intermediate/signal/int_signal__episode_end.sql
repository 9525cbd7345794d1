-- Whose each episode's signals are, and the day on which they end: the closing date of a
-- reported episode; of a derived one the day its gap is passed, so that nights in a row
-- and one load of the whole history give the same ends.
-- Rule: measurement.md I
with

episodes as (
    select * from {{ ref('int_episode__described') }}
),

spans as (
    select * from {{ ref('int_episode__span') }}
),

final as (
    select
        episodes.episode_key,
        episodes.client_key,
        episodes.therapist_key,
        episodes.clinic_key,
        episodes.is_closed,
        episodes.n_attended,
        case
            when not episodes.is_closed then null
            when episodes.episode_origin = 'reported' then episodes.closed_on
            else {{ days_after(
                'spans.last_attended_on', setting('episodes.gap_days') ~ ' + 1'
            ) }}
        end as ends_on
    from episodes
    inner join spans on episodes.episode_key = spans.episode_key
)

select * from final
