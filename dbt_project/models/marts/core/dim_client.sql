-- One client of the service, as far as anyone below the door may know them.
-- Rule: contract §4
with

clients as (
    select * from {{ ref('int_client__current') }}
),

-- A race counts once; what is not known is no second race.
race_groups as (
    select
        client_key,
        replace(replace(';' || race || ';', ';unknown;', ';'), ';;', ';') as known_races
    from clients
),

sessions as (
    select
        client_key,
        min(session_date) as first_session_date
    from {{ ref('int_session__numbered') }}
    where session_number is not null
    group by client_key
),

episodes as (
    select
        client_key,
        max(case when trauma_focused then 1 when not trauma_focused then 0 end)
            as any_trauma_focused
    from {{ ref('int_episode__described') }}
    group by client_key
),

final as (
    select
        clients.client_key,
        clients.source,
        clients.birth_year,
        coalesce(clients.sex, 'unknown') as sex,
        case
            when clients.ethnicity = 'hispanic' then 'hispanic'
            when
                race_groups.known_races is null or race_groups.known_races in (';', '')
                then 'unknown'
            when
                length(race_groups.known_races)
                - length(replace(race_groups.known_races, ';', '')) > 2
                then 'multiple'
            else replace(race_groups.known_races, ';', '')
        end as race_group,
        clients.state,
        clients.zip3,
        sessions.first_session_date,
        episodes.any_trauma_focused = 1 as trauma_focused
    from clients
    left join race_groups on clients.client_key = race_groups.client_key
    left join sessions on clients.client_key = sessions.client_key
    left join episodes on clients.client_key = episodes.client_key
)

select * from final
