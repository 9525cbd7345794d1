-- Five indicators over twelve months for each group of clients, beside the whole service.
-- Small groups are hidden, and so is what would let them be solved for.
-- Rule: quality_improvement.md 2, equity (Wilson 1927)
with recursive

period as (
    select * from {{ ref('int_qi__window') }}
),

clients as (
    select * from {{ ref('dim_client') }}
),

facts as (
    select * from {{ ref('int_qi__indicator_fact') }}
),

indicators as (
    {{ indicators() }}
),

aged as (
    select
        clients.*,
        extract(year from period.window_end) - clients.birth_year as age
    from clients
    cross join period
),

members as (
    {% for dimension, group_value in {
        'race_group': 'race_group',
        'sex': 'sex',
        'age_band': "case
            when age < 18 then 'under 18'
            when age < 25 then '18-24'
            when age < 35 then '25-34'
            when age < 45 then '35-44'
            when age < 55 then '45-54'
            when age < 65 then '55-64'
            when age >= 65 then '65+'
        end",
        'state': 'state',
        'trauma_focused':
            "case when trauma_focused then 'true' when not trauma_focused then 'false' end",
    }.items() -%}
    select
        client_key,
        '{{ dimension }}' as dimension,
        coalesce({{ group_value }}, 'unknown') as group_value
    from aged
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

groups as (
    select distinct
        dimension,
        group_value
    from members
),

of_client as (
    select
        indicator,
        client_key,
        {{ counted('is_counted') }} as numerator,
        {{ counted() }} as denominator
    from facts
    group by indicator, client_key
),

grouped as (
    select
        members.dimension,
        members.group_value,
        of_client.indicator,
        {{ counted() }} as n_clients,
        cast(sum(of_client.numerator) as integer) as numerator,
        cast(sum(of_client.denominator) as integer) as denominator
    from of_client
    inner join members on of_client.client_key = members.client_key
    group by members.dimension, members.group_value, of_client.indicator
),

overall as (
    select
        indicator,
        {{ counted() }} as n_clients,
        {{ share_of('sum(numerator)', 'sum(denominator)') }} as overall_value
    from of_client
    group by indicator
),

counted as (
    select
        groups.dimension,
        groups.group_value,
        indicators.indicator,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.numerator, 0) as numerator,
        coalesce(grouped.denominator, 0) as denominator
    from groups
    cross join indicators
    left join grouped
        on
            groups.dimension = grouped.dimension
            and groups.group_value = grouped.group_value
            and indicators.indicator = grouped.indicator
),

{% set keys = ['dimension', 'group_value', 'indicator'] %}
{{ suppressed_cells('counted', keys, [{'column': 'group_value', 'total': none}]) }},

shown as (
    select
        counted.*,
        period.window_start,
        period.window_end,
        not cells.hide_row as is_shown,
        {{ share_of('counted.numerator', 'counted.denominator') }} as value,
        case
            when overall.n_clients >= {{ setting('qi.small_cell_min') }}
                then overall.overall_value
        end as overall_value
    from counted
    cross join period
    inner join cells on {{ same('counted', 'cells', keys) }}
    left join overall on counted.indicator = overall.indicator
),

{% set z2 = 'pow(1.959964, 2)' %}
wilson as (
    select
        *,
        (value + {{ z2 }} / (2e0 * nullif(denominator, 0))) as middle,
        1.959964 * sqrt(
            value * (1 - value) / nullif(denominator, 0)
            + {{ z2 }} / (4e0 * nullif(denominator, 0) * nullif(denominator, 0))
        ) as half,
        1 + {{ z2 }} / nullif(denominator, 0) as divisor
    from shown
),

final as (
    select
        dimension,
        group_value,
        indicator,
        window_start,
        window_end,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then numerator end as numerator,
        case when is_shown then denominator end as denominator,
        case when is_shown then value end as value,
        case
            when is_shown and value is not null
                then greatest(0e0, (middle - half) / divisor)
        end as ci_low,
        case
            when is_shown and value is not null then least(1e0, (middle + half) / divisor)
        end as ci_high,
        case when is_shown then overall_value end as overall_value,
        case when is_shown then value - overall_value end as difference,
        not is_shown as suppressed,
        false as partly_suppressed
    from wilson
)

select * from final
