-- What each episode with an attended session shows by each method, on its primary
-- instrument; by the methods of one instrument alone, on that one. Episodes with too few forms are a group of their own, never "no rupture".
-- Rule: measurement.md H
with

episodes as (
    select * from {{ ref('int_episode__described') }} where n_attended > 0
),

methods as (
    select * from {{ ref('int_rupture__method') }}
),

primaries as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

scores as (
    select * from {{ ref('int_rupture__score') }}
),

ruptures as (
    select * from {{ ref('int_rupture__described') }}
),

cells as (
    select
        episodes.episode_key,
        methods.method,
        methods.min_scores,
        case methods.method
            when 'psq_direct' then 'PSQ'
            when 'srs_concern' then 'SRS'
            else primaries.instrument
        end as instrument
    from episodes
    cross join methods
    left join primaries on episodes.episode_key = primaries.episode_key
),

scored as (
    select
        episode_key,
        instrument,
        cast(count(*) as integer) as n_scores,
        max(n_series_scores) as longest_series
    from scores
    group by episode_key, instrument
),

counted as (
    select
        method,
        episode_key,
        instrument,
        cast(count(*) as integer) as n_ruptures,
        cast(count(*) filter (
            where status in ('resolved', 'late_repair')
        ) as integer) as n_repaired,
        count(*) filter (
            where status in ('unresolved', 'unresolved_at_close')
        ) as n_unrepaired,
        count(*) filter (where status = 'pending') as n_pending
    from ruptures
    group by method, episode_key, instrument
),

firsts as (
    select
        method,
        episode_key,
        instrument,
        onset_session_number,
        lead_component,
        row_number() over (
            partition by method, episode_key, instrument
            order by onset_session_number, rupture_key
        ) as choice
    from ruptures
),

final as (
    select
        cells.episode_key,
        cells.method,
        cells.instrument,
        case
            when
                scored.longest_series is null
                or scored.longest_series < cells.min_scores
                then 'insufficient'
            when counted.n_ruptures is null then 'no_rupture'
            when counted.n_unrepaired > 0 then 'unrepaired'
            when counted.n_pending > 0 then 'pending'
            else 'repaired'
        end as pattern,
        coalesce(counted.n_ruptures, 0) as n_ruptures,
        coalesce(counted.n_repaired, 0) as n_repaired,
        firsts.onset_session_number as first_rupture_session,
        firsts.lead_component,
        coalesce(scored.n_scores, 0) as n_scores
    from cells
    left join scored
        on
            cells.episode_key = scored.episode_key
            and cells.instrument = scored.instrument
    left join counted
        on
            cells.episode_key = counted.episode_key
            and cells.method = counted.method
            and cells.instrument = counted.instrument
    left join firsts
        on
            cells.episode_key = firsts.episode_key
            and cells.method = firsts.method
            and cells.instrument = firsts.instrument
            and firsts.choice = 1
)

select * from final
