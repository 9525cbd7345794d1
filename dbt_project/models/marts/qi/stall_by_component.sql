-- Stalled recovery by the weakest part of the alliance, and whether it was looked at again.
-- Small groups are hidden, and so is what would let them be solved for.
-- Rule: quality_improvement.md 2, stall_by_component
with recursive

periods as (
    select * from {{ ref('int_qi__period') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

stalls as (
    select * from {{ ref('fct_stall') }}
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

facts as (
    select
        {{ block_of('stalls.stall_date', setting('qi.cohort_months')) }} as period_start,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        stalls.instrument,
        coalesce(stalls.weak_component, 'none') as own_component,
        episodes.client_key,
        stalls.status,
        stalls.status in ('resumed', 'closed') as is_settled,
        stalls.alliance_reviewed,
        case
            when stalls.status = 'resumed'
                then stalls.resumed_session_number - stalls.stall_session_number
        end as sessions_to_resume
    from stalls
    inner join episodes on stalls.episode_key = episodes.episode_key
    cross join tonight
    where stalls.stall_date <= tonight.as_of
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

parted as (
    select
        everywhere.*,
        everywhere.own_component as component
    from everywhere
    union all
    select
        everywhere.*,
        'all' as component
    from everywhere
),

grouped as (
    select
        period_start,
        clinic_key,
        instrument,
        component,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_spells,
        {{ counted('alliance_reviewed') }} as n_reviewed,
        {{ counted("status = 'open'") }} as n_open,
        {{ counted('is_settled') }} as n_settled,
        {{ counted("status = 'resumed'") }} as n_resumed,
        {{ median_of('sessions_to_resume') }} as median_sessions_to_resume,
        {{ counted('is_settled and alliance_reviewed') }} as n_reviewed_settled,
        {{ counted("status = 'resumed' and alliance_reviewed") }} as n_reviewed_resumed,
        {{ counted('is_settled and not alliance_reviewed') }} as n_unreviewed_settled,
        {{ counted("status = 'resumed' and not alliance_reviewed") }}
            as n_unreviewed_resumed
    from parted
    group by period_start, clinic_key, instrument, component
),

instruments as (
    select distinct instrument from stalls
),

components as (
    {% for component in ['all', 'goal', 'task', 'bond', 'none'] -%}
    select '{{ component }}' as component
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spine as (
    select
        periods.period_start,
        periods.is_partial,
        clinics.clinic_key,
        instruments.instrument,
        components.component
    from periods
    cross join clinics
    cross join instruments
    cross join components
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_spells, 0) as n_spells,
        coalesce(grouped.n_reviewed, 0) as n_reviewed,
        coalesce(grouped.n_open, 0) as n_open,
        coalesce(grouped.n_settled, 0) as n_settled,
        coalesce(grouped.n_resumed, 0) as n_resumed,
        grouped.median_sessions_to_resume,
        coalesce(grouped.n_reviewed_settled, 0) as n_reviewed_settled,
        coalesce(grouped.n_reviewed_resumed, 0) as n_reviewed_resumed,
        coalesce(grouped.n_unreviewed_settled, 0) as n_unreviewed_settled,
        coalesce(grouped.n_unreviewed_resumed, 0) as n_unreviewed_resumed
    from spine
    left join grouped
        on
            spine.period_start = grouped.period_start
            and spine.clinic_key = grouped.clinic_key
            and spine.instrument = grouped.instrument
            and spine.component = grouped.component
),

{% set keys = ['period_start', 'clinic_key', 'instrument', 'component'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [
        {'column': 'component', 'total': 'all'},
        {'column': 'clinic_key', 'total': 'all'},
    ],
    {
        'settled': 'n_settled',
        'reviewed': 'n_reviewed_settled',
        'unreviewed': 'n_unreviewed_settled',
    }
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_settled as is_settled_shown,
        not cells.hide_reviewed as is_reviewed_shown,
        not cells.hide_unreviewed as is_unreviewed_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        period_start,
        clinic_key,
        instrument,
        component,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_spells end as n_spells,
        case when is_shown then n_reviewed end as n_reviewed,
        case when is_shown then n_open end as n_open,
        case when is_settled_shown then n_settled end as n_settled,
        case when is_settled_shown then n_resumed end as n_resumed,
        case when is_settled_shown then {{ share_of('n_resumed', 'n_settled') }} end
            as resumed_share,
        case when is_settled_shown then cast(median_sessions_to_resume as double) end
            as median_sessions_to_resume,
        case when is_reviewed_shown then n_reviewed_settled end as n_reviewed_settled,
        case when is_reviewed_shown then n_reviewed_resumed end as n_reviewed_resumed,
        case
            when is_reviewed_shown
                then {{ share_of('n_reviewed_resumed', 'n_reviewed_settled') }}
        end as reviewed_resumed_share,
        case when is_unreviewed_shown then n_unreviewed_settled end
            as n_unreviewed_settled,
        case when is_unreviewed_shown then n_unreviewed_resumed end
            as n_unreviewed_resumed,
        case
            when is_unreviewed_shown
                then {{ share_of('n_unreviewed_resumed', 'n_unreviewed_settled') }}
        end as unreviewed_resumed_share,
        not is_shown as suppressed,
        is_shown
        and not (
            is_settled_shown and is_reviewed_shown and is_unreviewed_shown
        ) as partly_suppressed
    from shown
)

select * from final
