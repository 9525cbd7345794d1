-- How episodes ended, by month of their close, clinic and rupture pattern. Small groups
-- are hidden, and so is what would let them be solved for.
-- Rule: quality_improvement.md 2, endings
with recursive

months as (
    select * from {{ ref('int_qi__month') }} {{ where_moved('endings', 'month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

cohorts as (
    select * from {{ ref('rupture_cohort') }} where method = 'default_rc3'
),

tonight as (
    select * from {{ source('control', 'run') }}
),

facts as (
    select
        {{ month_of('episodes.closed_on') }} as month,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        coalesce(cohorts.pattern, 'insufficient') as own_pattern,
        episodes.client_key,
        coalesce(episodes.closure_reason, 'unknown') as closure_reason,
        episodes.dropout,
        episodes.n_attended
    from episodes
    cross join tonight
    left join cohorts on episodes.episode_key = cohorts.episode_key
    where
        episodes.closed_on <= tonight.as_of
        {{ where_moved('endings', month_of('episodes.closed_on'), 'and') }}
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

patterned as (
    select
        everywhere.*,
        everywhere.own_pattern as pattern
    from everywhere
    union all
    select
        everywhere.*,
        'all' as pattern
    from everywhere
),

{% set reasons = [
    'completed', 'dropped_out', 'referred', 'transferred', 'declined', 'deceased', 'other',
    'unknown'
] %}
grouped as (
    select
        month,
        clinic_key,
        pattern,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_closed,
        {% for reason in reasons -%}
        {{ counted("closure_reason = '" ~ reason ~ "'") }} as n_{{ reason }},
        {% endfor -%}
        {{ counted('dropout is not null') }} as n_dropout_known,
        {{ counted('dropout') }} as n_dropout,
        {{ median_of('n_attended') }} as median_attended
    from patterned
    group by month, clinic_key, pattern
),

patterns as (
    {% for pattern in [
        'all', 'no_rupture', 'repaired', 'pending', 'unrepaired', 'insufficient'
    ] -%}
    select '{{ pattern }}' as pattern
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spine as (
    select
        months.month,
        months.is_partial,
        clinics.clinic_key,
        patterns.pattern
    from months
    cross join clinics
    cross join patterns
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_closed, 0) as n_closed,
        {% for reason in reasons -%}
        coalesce(grouped.n_{{ reason }}, 0) as n_{{ reason }},
        {% endfor -%}
        coalesce(grouped.n_dropout_known, 0) as n_dropout_known,
        coalesce(grouped.n_dropout, 0) as n_dropout,
        grouped.median_attended
    from spine
    left join grouped
        on
            spine.month = grouped.month
            and spine.clinic_key = grouped.clinic_key
            and spine.pattern = grouped.pattern
),

{% set keys = ['month', 'clinic_key', 'pattern'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [
        {'column': 'pattern', 'total': 'all'},
        {'column': 'clinic_key', 'total': 'all'},
    ],
    {'dropout': 'n_dropout_known'}
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_dropout as is_dropout_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        month,
        clinic_key,
        pattern,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_closed end as n_closed,
        {% for reason in reasons -%}
        case when is_shown then n_{{ reason }} end as n_{{ reason }},
        {% endfor -%}
        case when is_dropout_shown then n_dropout_known end as n_dropout_known,
        case when is_dropout_shown then n_dropout end as n_dropout,
        case when is_dropout_shown then {{ share_of('n_dropout', 'n_dropout_known') }} end
            as dropout_share,
        case when is_shown then cast(median_attended as double) end as median_attended,
        not is_shown as suppressed,
        is_shown and not is_dropout_shown as partly_suppressed
    from shown
)

select * from final
