-- Episodes by how their alliance began, and how they ended. Small groups are hidden, and so
-- is what would let them be solved for.
-- Rule: quality_improvement.md 2, early_alliance
with recursive

periods as (
    select * from {{ ref('int_qi__period') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

facts as (
    select * from {{ ref('int_qi__early_episode') }}
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

banded as (
    select
        everywhere.*,
        everywhere.own_band as band
    from everywhere
    union all
    select
        everywhere.*,
        'all' as band
    from everywhere
),

grouped as (
    select
        period_start,
        clinic_key,
        band,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_episodes,
        {{ counted('dropout is not null') }} as n_ended,
        {{ counted('dropout') }} as n_dropout,
        {{ counted('has_outcome') }} as n_outcome,
        {{ counted("has_outcome and reliable_change = 'improved'") }} as n_improved,
        {{ counted("band = 'all' and own_band <> 'none'") }} as n_banded,
        {{ counted("band = 'all' and own_band = 'weak'") }} as n_weak
    from banded
    group by period_start, clinic_key, band
),

bands as (
    {% for band in ['all', 'weak', 'moderate', 'strong', 'none'] -%}
    select '{{ band }}' as band
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spine as (
    select
        periods.period_start,
        periods.is_partial,
        clinics.clinic_key,
        bands.band
    from periods
    cross join clinics
    cross join bands
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_episodes, 0) as n_episodes,
        coalesce(grouped.n_ended, 0) as n_ended,
        coalesce(grouped.n_dropout, 0) as n_dropout,
        coalesce(grouped.n_outcome, 0) as n_outcome,
        coalesce(grouped.n_improved, 0) as n_improved,
        coalesce(grouped.n_banded, 0) as n_banded,
        coalesce(grouped.n_weak, 0) as n_weak
    from spine
    left join grouped
        on
            spine.period_start = grouped.period_start
            and spine.clinic_key = grouped.clinic_key
            and spine.band = grouped.band
),

{% set keys = ['period_start', 'clinic_key', 'band'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [
        {'column': 'band', 'total': 'all'},
        {'column': 'clinic_key', 'total': 'all'},
    ],
    {'ended': 'n_ended', 'outcome': 'n_outcome', 'banded': 'n_banded'}
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_ended as is_ended_shown,
        not cells.hide_outcome as is_outcome_shown,
        not cells.hide_banded as is_banded_shown,
        counted.band = 'all' as is_all
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        period_start,
        clinic_key,
        band,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_episodes end as n_episodes,
        case when is_ended_shown then n_ended end as n_ended,
        case when is_ended_shown then n_dropout end as n_dropout,
        case when is_ended_shown then {{ share_of('n_dropout', 'n_ended') }} end
            as dropout_share,
        case when is_outcome_shown then n_outcome end as n_outcome,
        case when is_outcome_shown then n_improved end as n_improved,
        case when is_outcome_shown then {{ share_of('n_improved', 'n_outcome') }} end
            as improved_share,
        case when is_all and is_banded_shown then n_banded end as n_banded,
        case when is_all and is_banded_shown then n_weak end as n_weak,
        case when is_all and is_banded_shown then {{ share_of('n_weak', 'n_banded') }} end
            as weak_share,
        not is_shown as suppressed,
        is_shown
        and not (
            is_ended_shown and is_outcome_shown and (is_banded_shown or not is_all)
        ) as partly_suppressed
    from shown
)

select * from final
