-- Goals of client and therapist up to the as-of date, dated in the zone of a form that
-- names neither session nor therapist, with the episode that each belongs to: the
-- reported one it names, else the one that holds its date.
-- Rule: measurement.md F2, B2, B9
with

goals as (
    select * from {{ ref('int_goal__current') }} where rater in ('client', 'therapist')
),

clients as (
    select * from {{ ref('int_client__current') }}
),

client_zones as (
    select * from {{ ref('int_client__zone') }}
),

source_settings as (
    select * from {{ source('control', 'source_setting') }}
),

reported as (
    select * from {{ ref('int_episode__reported') }}
),

spans as (
    select * from {{ ref('int_episode__span') }}
),

zoned as (
    select
        goals.*,
        coalesce(client_zones.zone, source_settings.timezone) as zone
    from goals
    inner join clients on goals.client_key = clients.client_key
    left join client_zones on goals.client_key = client_zones.client_key
    left join source_settings on goals.source = source_settings.source
),

{{ read_by_clock('zoned', ['recorded_at'], 'zone') }},

timed as (
    select
        *,
        {{ written_to_utc('recorded_at', 'zone') }} as recorded_at
    from steadied
),

dated as (
    select
        *,
        {{ written_to_date('recorded_at', 'zone') }} as recorded_on
    from timed
),

counted as (
    select
        dated.*,
        cast(row_number() over (
            order by
                dated.goal_key asc,
                dated.rater asc,
                dated.recorded_at asc,
                dated.recorded_at_is_date desc,
                dated.recorded_at_offset_minutes asc nulls first
        ) as integer) as goal_row,
        reported.episode_key as named_episode_key
    from dated
    left join reported
        on
            dated.episode_key = reported.episode_key
            and dated.client_key = reported.client_key
    where dated.recorded_on <= {{ as_of() }}
),

candidates as (
    select
        counted.goal_row,
        spans.episode_key,
        row_number() over (
            partition by counted.goal_row
            order by
                {{ episode_choice('spans') }}
        ) as choice
    from counted
    inner join spans on counted.client_key = spans.client_key
    where
        counted.named_episode_key is null
        and {{ episode_holds('spans', 'counted.recorded_on') }}
),

final as (
    select
        coalesce(counted.named_episode_key, candidates.episode_key) as episode_key,
        counted.rater,
        counted.goal_key,
        counted.goal_row,
        counted.recorded_on,
        counted.domain,
        counted.status
    from counted
    left join candidates
        on counted.goal_row = candidates.goal_row and candidates.choice = 1
    where coalesce(counted.named_episode_key, candidates.episode_key) is not null
)

select * from final
