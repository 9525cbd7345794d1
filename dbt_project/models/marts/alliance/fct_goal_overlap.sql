-- How far client's and therapist's goals name the same domains, and whether they still
-- differ although the therapist revised: a prompt to agree on goals again.
-- Rule: measurement.md F2
with

sets as (
    select * from {{ ref('int_goal__domain_set') }}
),

ordered as (
    select
        *,
        lag(therapist_domains) over (
            partition by episode_key order by recorded_on
        ) as therapist_domains_before,
        min(case when n_therapist_goals > 0 then recorded_on end) over (
            partition by episode_key
        ) as therapist_began_on,
        min(case when overlap is not null then recorded_on end) over (
            partition by episode_key
        ) as overlap_began_on,
        row_number() over (
            partition by episode_key order by recorded_on desc
        ) as choice
    from sets
),

per_episode as (
    select
        episode_key,
        max(case when choice = 1 then n_client_goals end) as n_client_goals,
        max(case when choice = 1 then n_therapist_goals end) as n_therapist_goals,
        max(case when choice = 1 then n_shared end) as n_shared,
        max(case when choice = 1 then overlap end) as overlap,
        max(case when recorded_on = overlap_began_on then overlap end) as overlap_first,
        cast(count(*) filter (
            where
            recorded_on > therapist_began_on
            and therapist_domains <> therapist_domains_before
        ) as integer) as n_therapist_revisions
    from ordered
    group by episode_key
),

final as (
    select
        episode_key,
        n_client_goals,
        n_therapist_goals,
        n_shared,
        overlap,
        overlap_first,
        n_therapist_revisions,
        case
            when overlap is not null
                then
                    {{ lt('overlap', setting('goals.inconsistent_below')) }}
                    and n_therapist_revisions >= 1
        end as is_inconsistent
    from per_episode
)

select * from final
