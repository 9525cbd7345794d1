-- The clinics of each indicator, with which of them are shown: small groups are hidden, and
-- those that would give them away.
-- Rule: quality_improvement.md 1.8, 2 (clinic_funnel)
with recursive

period as (
    select * from {{ ref('int_qi__window') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }} where clinic_key <> 'all'
),

facts as (
    select * from {{ ref('int_qi__indicator_fact') }}
),

indicators as (
    {{ indicators() }}
),

grouped as (
    select
        indicator,
        own_clinic as clinic_key,
        count(distinct client_key) as n_clients,
        {{ counted('is_counted') }} as numerator,
        {{ counted() }} as denominator
    from facts
    group by indicator, own_clinic
),

counted as (
    select
        indicators.indicator,
        clinics.clinic_key,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.numerator, 0) as numerator,
        coalesce(grouped.denominator, 0) as denominator
    from indicators
    cross join clinics
    left join grouped
        on
            indicators.indicator = grouped.indicator
            and clinics.clinic_key = grouped.clinic_key
),

{% set keys = ['indicator', 'clinic_key'] %}
{{ suppressed_cells('counted', keys, [{'column': 'clinic_key', 'total': none}]) }},

final as (
    select
        counted.*,
        period.window_start,
        period.window_end,
        not cells.hide_row as is_shown
    from counted
    cross join period
    inner join cells on {{ same('counted', 'cells', keys) }}
)

select * from final
