-- For each session after which a pair may part: the second of the next two consecutive
-- attended sessions of the episode with another therapist than the series'.
-- Rule: measurement.md I
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }} where method = 'default_rc3'
),

attended as (
    select * from {{ ref('int_session__numbered') }} where session_number is not null
),

pairs as (
    select distinct
        episode_key,
        series_therapist
    from ruptures
),

others as (
    select
        pairs.episode_key,
        pairs.series_therapist,
        attended.session_number,
        attended.session_date,
        pairs.series_therapist <> 'none'
        and coalesce(attended.therapist_key <> pairs.series_therapist, false) as is_other
    from pairs
    inner join attended on pairs.episode_key = attended.episode_key
),

seconds as (
    select
        *,
        is_other
        and coalesce(
            lag(is_other) over (
                partition by episode_key, series_therapist order by session_number
            ),
            false
        ) as is_second
    from others
),

-- The two lie after the session itself, so the second is at least two sessions on.
nexts as (
    select
        episode_key,
        series_therapist,
        session_number,
        min(case when is_second then session_number end) over (
            partition by episode_key, series_therapist
            order by session_number
            rows between 2 following and unbounded following
        ) as changed_session_number
    from seconds
),

final as (
    select
        nexts.episode_key,
        nexts.series_therapist,
        nexts.session_number,
        nexts.changed_session_number,
        attended.session_date as changed_on
    from nexts
    inner join attended
        on
            nexts.episode_key = attended.episode_key
            and nexts.changed_session_number = attended.session_number
)

select * from final
