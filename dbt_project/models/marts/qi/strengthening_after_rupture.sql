-- Settled primary ruptures by the strengthening work that was recorded after them, and how
-- many were repaired: what went together, never what caused it. Small groups are hidden.
-- Rule: quality_improvement.md 2, strengthening_after_rupture
with recursive

periods as (
    select * from {{ ref('int_qi__period') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

ruptures as (
    select * from {{ ref('int_qi__primary_rupture') }} where is_settled
),

strengthening as (
    select * from {{ ref('fct_strengthening') }} where after_rupture is not null
),

worked as (
    select
        after_rupture as rupture_key,
        max(case when destigmatize then 1 else 0 end) as destigmatize,
        max(case when compassion then 1 else 0 end) as compassion,
        max(case when co_create then 1 else 0 end) as co_create
    from strengthening
    group by after_rupture
),

facts as (
    select
        {{ block_of('ruptures.onset_date', setting('qi.cohort_months')) }} as period_start,
        ruptures.own_clinic,
        ruptures.client_key,
        ruptures.is_repaired,
        ruptures.sessions_to_repair,
        worked.rupture_key is not null as has_any,
        coalesce(worked.destigmatize, 0) = 1 as has_destigmatize,
        coalesce(worked.compassion, 0) = 1 as has_compassion,
        coalesce(worked.co_create, 0) = 1 as has_co_create
    from ruptures
    left join worked on ruptures.rupture_key = worked.rupture_key
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

by_work as (
    {% for work, holds in [
        ('all', 'true'),
        ('any', 'has_any'),
        ('none', 'not has_any'),
        ('destigmatize', 'has_destigmatize'),
        ('compassion', 'has_compassion'),
        ('co_create', 'has_co_create'),
    ] -%}
    select
        everywhere.*,
        '{{ work }}' as work
    from everywhere
    where {{ holds }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

grouped as (
    select
        period_start,
        clinic_key,
        work,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_ruptures,
        {{ counted('is_repaired') }} as n_repaired,
        {{ median_of('sessions_to_repair') }} as median_sessions_to_repair
    from by_work
    group by period_start, clinic_key, work
),

works as (
    {% for work in ['all', 'any', 'none', 'destigmatize', 'compassion', 'co_create'] -%}
    select '{{ work }}' as work
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spine as (
    select
        periods.period_start,
        periods.is_partial,
        clinics.clinic_key,
        works.work
    from periods
    cross join clinics
    cross join works
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_ruptures, 0) as n_ruptures,
        coalesce(grouped.n_repaired, 0) as n_repaired,
        grouped.median_sessions_to_repair
    from spine
    left join grouped
        on
            spine.period_start = grouped.period_start
            and spine.clinic_key = grouped.clinic_key
            and spine.work = grouped.work
),

{% set keys = ['period_start', 'clinic_key', 'work'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [
        {
            'column': 'work',
            'total': 'all',
            'members': ['all', 'any', 'none'],
            'parts': ['destigmatize', 'compassion', 'co_create'],
            'parts_of': 'any',
        },
        {'column': 'clinic_key', 'total': 'all'},
    ],
    {'settled': 'n_ruptures'}
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_settled as is_settled_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        period_start,
        clinic_key,
        work,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_ruptures end as n_ruptures,
        case when is_settled_shown then n_ruptures end as n_settled,
        case when is_settled_shown then n_repaired end as n_repaired,
        case
            when is_settled_shown
                then {{ share_of('n_repaired', 'n_ruptures') }}
        end as repaired_share,
        case
            when is_settled_shown
                then cast(median_sessions_to_repair as double)
        end as median_sessions_to_repair,
        not is_shown as suppressed,
        is_shown and not is_settled_shown as partly_suppressed
    from shown
)

select * from final
