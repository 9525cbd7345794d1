-- Ruptures by the month of their onset, method, instrument and lead component, counted for
-- each clinic and the whole service, before small groups are hidden. A table of its own, so
-- that the engine knows how small it is when it looks for what to hide.
-- Rule: quality_improvement.md 2, rupture_repair_monthly
with

months as (
    select * from {{ ref('int_qi__month') }} {{ where_moved('rupture_repair_monthly', 'month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

ruptures as (
    select * from {{ ref('fct_rupture') }} where rater = 'client'
),

cohorts as (
    select * from {{ ref('rupture_cohort') }}
),

alliance as (
    select * from {{ ref('fct_alliance_session') }} where client_total is not null
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

pairs as (
    select
        method,
        instrument
    from cohorts
    where instrument is not null
    union
    select
        method,
        instrument
    from ruptures
),

began as (
    select
        {{ month_of('ruptures.onset_date') }} as month,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        ruptures.method,
        ruptures.instrument,
        ruptures.lead_component as own_component,
        episodes.client_key,
        ruptures.status,
        ruptures.strength,
        case
            when ruptures.status in ('resolved', 'late_repair')
                then ruptures.sessions_to_repair
        end as sessions_to_repair
    from ruptures
    inner join episodes on ruptures.episode_key = episodes.episode_key
    cross join tonight
    where
        ruptures.onset_date <= tonight.as_of
        {{ where_moved('rupture_repair_monthly', month_of('ruptures.onset_date'), 'and') }}
),

began_everywhere as (
    {{ at_clinic_and_all('began') }}
),

began_parted as (
    select
        began_everywhere.*,
        began_everywhere.own_component as lead_component
    from began_everywhere
    union all
    select
        began_everywhere.*,
        'all' as lead_component
    from began_everywhere
),

scored as (
    select
        {{ month_of('alliance.session_date') }} as month,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        alliance.instrument,
        episodes.client_key
    from alliance
    inner join episodes on alliance.episode_key = episodes.episode_key
    cross join tonight
    where
        alliance.session_date <= tonight.as_of
        {{ where_moved('rupture_repair_monthly', month_of('alliance.session_date'), 'and') }}
),

scored_everywhere as (
    {{ at_clinic_and_all('scored') }}
),

scored_people as (
    select
        month,
        clinic_key,
        instrument,
        client_key,
        {{ counted() }} as n_scored_sessions
    from scored_everywhere
    group by month, clinic_key, instrument, client_key
),

scored_grouped as (
    select
        month,
        clinic_key,
        instrument,
        {{ counted() }} as n_clients,
        cast(sum(n_scored_sessions) as integer) as n_scored_sessions
    from scored_people
    group by month, clinic_key, instrument
),

-- Who has a rupture in a month without a score in it; the others are counted above, once
-- for all methods.
unscored_people as (
    select distinct
        began_everywhere.month,
        began_everywhere.clinic_key,
        began_everywhere.method,
        began_everywhere.instrument,
        began_everywhere.client_key
    from began_everywhere
    left join scored_people
        on
            began_everywhere.month = scored_people.month
            and began_everywhere.clinic_key = scored_people.clinic_key
            and began_everywhere.instrument = scored_people.instrument
            and began_everywhere.client_key = scored_people.client_key
    where scored_people.client_key is null
),

unscored_grouped as (
    select
        month,
        clinic_key,
        method,
        instrument,
        {{ counted() }} as n_clients
    from unscored_people
    group by month, clinic_key, method, instrument
),

grouped as (
    select
        month,
        clinic_key,
        method,
        instrument,
        lead_component,
        {{ counted() }} as n_ruptures,
        {{ counted("strength = 'likely'") }} as n_likely,
        {{ counted("status = 'pending'") }} as n_pending,
        {{ counted("status = 'resolved'") }} as n_resolved,
        {{ counted("status = 'late_repair'") }} as n_late_repair,
        {{ counted("status = 'unresolved'") }} as n_unresolved,
        {{ counted("status = 'unresolved_at_close'") }} as n_unresolved_at_close,
        {{ median_of('sessions_to_repair') }} as median_sessions_to_repair
    from began_parted
    group by month, clinic_key, method, instrument, lead_component
),

components as (
    {% for component in ['all', 'goal', 'task', 'bond', 'none'] -%}
    select '{{ component }}' as lead_component
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spine as (
    select
        months.month,
        months.is_partial,
        clinics.clinic_key,
        pairs.method,
        pairs.instrument,
        components.lead_component
    from months
    cross join clinics
    cross join pairs
    cross join components
),

final as (
    select
        spine.*,
        coalesce(scored_grouped.n_clients, 0) + coalesce(unscored_grouped.n_clients, 0)
            as n_clients,
        coalesce(scored_grouped.n_scored_sessions, 0) as n_scored_sessions,
        coalesce(grouped.n_ruptures, 0) as n_ruptures,
        coalesce(grouped.n_likely, 0) as n_likely,
        coalesce(grouped.n_ruptures, 0) - coalesce(grouped.n_pending, 0) as n_settled,
        coalesce(grouped.n_pending, 0) as n_pending,
        coalesce(grouped.n_resolved, 0) as n_resolved,
        coalesce(grouped.n_late_repair, 0) as n_late_repair,
        coalesce(grouped.n_unresolved, 0) as n_unresolved,
        coalesce(grouped.n_unresolved_at_close, 0) as n_unresolved_at_close,
        grouped.median_sessions_to_repair
    from spine
    left join unscored_grouped
        on
            spine.month = unscored_grouped.month
            and spine.clinic_key = unscored_grouped.clinic_key
            and spine.method = unscored_grouped.method
            and spine.instrument = unscored_grouped.instrument
    left join scored_grouped
        on
            spine.month = scored_grouped.month
            and spine.clinic_key = scored_grouped.clinic_key
            and spine.instrument = scored_grouped.instrument
    left join grouped
        on
            spine.month = grouped.month
            and spine.clinic_key = grouped.clinic_key
            and spine.method = grouped.method
            and spine.instrument = grouped.instrument
            and spine.lead_component = grouped.lead_component
)

select * from final
