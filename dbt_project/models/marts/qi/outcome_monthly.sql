-- What changed on each outcome instrument for the episodes closed in a month. Small groups
-- are hidden, and so is what would let them be solved for.
-- Rule: quality_improvement.md 2, outcome_monthly
with recursive

months as (
    select * from {{ ref('int_qi__month') }} {{ where_moved('outcome_monthly', 'month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

outcomes as (
    select * from {{ ref('fct_episode_outcome') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

instruments as (
    select distinct instrument from outcomes
),

facts as (
    select
        {{ month_of('episodes.closed_on') }} as month,
        coalesce(episodes.clinic_key, 'unknown') as own_clinic,
        instruments.instrument,
        episodes.client_key,
        coalesce(outcomes.clinical_class, 'insufficient') <> 'insufficient' as is_paired,
        outcomes.clinical_class,
        outcomes.reliable_change,
        outcomes.change
    from episodes
    cross join tonight
    cross join instruments
    left join outcomes
        on
            episodes.episode_key = outcomes.episode_key
            and instruments.instrument = outcomes.instrument
    where
        episodes.closed_on <= tonight.as_of
        {{ where_moved('outcome_monthly', month_of('episodes.closed_on'), 'and') }}
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

grouped as (
    select
        month,
        clinic_key,
        instrument,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_closed,
        {{ counted('is_paired') }} as n_paired,
        {{ counted("is_paired and reliable_change = 'improved'") }} as n_improved,
        {{ counted("is_paired and reliable_change = 'deteriorated'") }} as n_deteriorated,
        {{ counted("is_paired and reliable_change = 'no_change'") }} as n_no_change,
        {{ mean_of_many('case when is_paired then change end') }} as mean_change,
        {{ sd_of_many('case when is_paired then change end') }} as sd_change,
        {{ counted("is_paired and clinical_class <> 'not_at_risk'") }} as n_at_risk,
        {{ counted("clinical_class = 'recovered'") }} as n_recovered
    from everywhere
    group by month, clinic_key, instrument
),

spine as (
    select
        months.month,
        months.is_partial,
        clinics.clinic_key,
        instruments.instrument
    from months
    cross join clinics
    cross join instruments
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_closed, 0) as n_closed,
        coalesce(grouped.n_paired, 0) as n_paired,
        coalesce(grouped.n_improved, 0) as n_improved,
        coalesce(grouped.n_deteriorated, 0) as n_deteriorated,
        coalesce(grouped.n_no_change, 0) as n_no_change,
        grouped.mean_change,
        grouped.sd_change,
        coalesce(grouped.n_at_risk, 0) as n_at_risk,
        coalesce(grouped.n_recovered, 0) as n_recovered
    from spine
    left join grouped
        on
            spine.month = grouped.month
            and spine.clinic_key = grouped.clinic_key
            and spine.instrument = grouped.instrument
),

{% set keys = ['month', 'clinic_key', 'instrument'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [{'column': 'clinic_key', 'total': 'all'}],
    {'paired': 'n_paired', 'risk': 'n_at_risk'}
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_paired as is_paired_shown,
        not cells.hide_risk as is_risk_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        month,
        clinic_key,
        instrument,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_closed end as n_closed,
        case when is_paired_shown then n_paired end as n_paired,
        case when is_paired_shown then {{ share_of('n_paired', 'n_closed') }} end
            as paired_share,
        case when is_paired_shown then n_improved end as n_improved,
        case when is_paired_shown then n_deteriorated end as n_deteriorated,
        case when is_paired_shown then n_no_change end as n_no_change,
        case when is_paired_shown then {{ share_of('n_improved', 'n_paired') }} end
            as improved_share,
        case when is_paired_shown then {{ share_of('n_deteriorated', 'n_paired') }} end
            as deteriorated_share,
        case when is_paired_shown then mean_change end as mean_change,
        case when is_paired_shown then sd_change end as sd_change,
        case when is_risk_shown then n_at_risk end as n_at_risk,
        case when is_risk_shown then n_recovered end as n_recovered,
        case when is_risk_shown then {{ share_of('n_recovered', 'n_at_risk') }} end
            as recovered_share,
        not is_shown as suppressed,
        is_shown and not (is_paired_shown and is_risk_shown) as partly_suppressed
    from shown
)

select * from final
