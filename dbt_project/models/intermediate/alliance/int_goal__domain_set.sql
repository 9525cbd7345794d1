-- The domains that client's and therapist's goals name at the end of each date on which a
-- goal of the episode was recorded; between such dates nothing changes. Closed and dropped
-- goals don't stand, and `other` and `unknown` name nothing that two can share.
-- Rule: measurement.md F2
with

goals as (
    select * from {{ ref('int_goal__placed') }}
),

dates as (
    select distinct
        episode_key,
        recorded_on
    from goals
),

-- Each row of a goal stands until the date of its next one.
histories as (
    select
        *,
        lead(recorded_on) over (
            partition by episode_key, rater, goal_key order by goal_row
        ) as superseded_on
    from goals
),

standing as (
    select
        *,
        domain not in ('other', 'unknown')
        and coalesce(status not in ('closed', 'dropped'), true) as counts
    from histories
),

domains as (
    select
        dates.episode_key,
        dates.recorded_on,
        standing.domain,
        max(case when standing.rater = 'client' then 1 else 0 end) as of_client,
        max(case when standing.rater = 'therapist' then 1 else 0 end) as of_therapist
    from dates
    inner join standing
        on
            dates.episode_key = standing.episode_key
            and dates.recorded_on >= standing.recorded_on
            and (
                standing.superseded_on is null
                or dates.recorded_on < standing.superseded_on
            )
    where standing.counts
    group by dates.episode_key, dates.recorded_on, standing.domain
),

sets as (
    select
        episode_key,
        recorded_on,
        cast(sum(of_client) as integer) as n_client_goals,
        cast(sum(of_therapist) as integer) as n_therapist_goals,
        cast(sum(of_client * of_therapist) as integer) as n_shared,
        cast(count(*) as integer) as n_either,
        {{ joined_in_order("case when of_therapist = 1 then domain end", 'domain') }}
            as therapist_domains
    from domains
    group by episode_key, recorded_on
),

final as (
    select
        dates.episode_key,
        dates.recorded_on,
        coalesce(sets.n_client_goals, 0) as n_client_goals,
        coalesce(sets.n_therapist_goals, 0) as n_therapist_goals,
        coalesce(sets.n_shared, 0) as n_shared,
        case
            when sets.n_client_goals > 0 and sets.n_therapist_goals > 0
                then cast(sets.n_shared as double) / sets.n_either
        end as overlap,
        coalesce(sets.therapist_domains, '') as therapist_domains
    from dates
    left join sets
        on
            dates.episode_key = sets.episode_key and dates.recorded_on = sets.recorded_on
)

select * from final
