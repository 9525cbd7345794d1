-- Each clinic's share of five indicators over twelve months, against limits by chance: exact
-- binomial ones, and wider ones where clinics differ more than chance explains. Limits are
-- taken from what is shown alone.
-- Rule: quality_improvement.md 2, clinic_funnel; 3.5 (Spiegelhalter 2005, 2012)
with

units as (
    select * from {{ ref('int_qi__funnel_unit') }}
),

shown as (
    select
        *,
        is_shown and denominator > 0 as is_published
    from units
),

pooled as (
    select
        indicator,
        {{ counted('is_published') }} as n_clinics,
        {{ share_of(
            'sum(case when is_published then numerator end)',
            'sum(case when is_published then denominator end)'
        ) }} as target
    from shown
    group by indicator
),

-- What limits can be taken from: more than one clinic, and not all or nothing.
limited as (
    select
        shown.indicator,
        shown.clinic_key,
        shown.numerator,
        shown.denominator,
        pooled.target,
        pooled.n_clinics
    from shown
    inner join pooled on shown.indicator = pooled.indicator
    where
        shown.is_published
        and pooled.n_clinics > 1
        and pooled.target > 0
        and pooled.target < 1
),

sizes as (
    select distinct
        indicator,
        denominator,
        target
    from limited
),

outcomes as (
    select
        indicator,
        denominator,
        target,
        {{ number_series('denominator') }} as k
    from sizes
),

likely as (
    select
        indicator,
        denominator,
        k,
        exp(
            {{ log_factorial('denominator') }}
            - {{ log_factorial('k') }}
            - {{ log_factorial('denominator - k') }}
            + k * ln(target)
            + (denominator - k) * ln(1 - target)
        ) as p
    from outcomes
),

summed as (
    select
        *,
        sum(p) over (
            partition by indicator, denominator
            order by k
            rows between unbounded preceding and current row
        ) as p_up_to
    from likely
),

{% set limits = {'ll95': 0.025, 'ul95': 0.975, 'll998': 0.001, 'ul998': 0.999} %}
stepped as (
    select
        *,
        coalesce(
            lag(p_up_to) over (partition by indicator, denominator order by k), 0e0
        ) as p_before
    from summed
),

-- The least number that reaches the probability, moved back by how far it overshoots.
exact as (
    select
        indicator,
        denominator,
        {% for name, q in limits.items() -%}
        max(case
            when p_before < {{ q }} and p_up_to >= {{ q }}
                then greatest(0e0, (k - (p_up_to - {{ q }}) / (p_up_to - p_before)) / denominator)
        end) as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from stepped
    group by indicator, denominator
),

scored as (
    select
        *,
        (asin(sqrt(cast(numerator as double) / denominator)) - asin(sqrt(target)))
        * 2 * sqrt(denominator) as z
    from limited
    where n_clinics >= 5
),

ends as (
    select
        indicator,
        {{ quantile_of('z', 0.1) }} as low,
        {{ quantile_of('z', 0.9) }} as high
    from scored
    group by indicator
),

spread as (
    select
        scored.indicator,
        max(scored.n_clinics) as k,
        round(avg(pow(least(greatest(scored.z, ends.low), ends.high), 2)), 12) as phi,
        4 * sum(cast(scored.denominator as double)) as sum_w,
        16 * sum(cast(scored.denominator as double) * scored.denominator) as sum_w2
    from scored
    inner join ends on scored.indicator = ends.indicator
    group by scored.indicator
),

dispersed as (
    select
        indicator,
        phi,
        greatest(0e0, (k * phi - (k - 1)) / (sum_w - sum_w2 / sum_w)) as tau2
    from spread
),

bounded as (
    select
        shown.*,
        case when shown.is_shown then {{ share_of('shown.numerator', 'shown.denominator') }} end
            as value,
        pooled.target,
        pooled.n_clinics,
        case when shown.is_published then exact.ll95 end as ll95,
        case when shown.is_published then exact.ul95 end as ul95,
        case when shown.is_published then exact.ll998 end as ll998,
        case when shown.is_published then exact.ul998 end as ul998,
        dispersed.phi,
        dispersed.tau2,
        coalesce(dispersed.tau2 > 0, false) as adjusted,
        case
            when shown.is_published and dispersed.tau2 > 0
                then sqrt(1 / (4e0 * shown.denominator) + dispersed.tau2)
        end as od_sd
    from shown
    inner join pooled on shown.indicator = pooled.indicator
    left join exact
        on shown.indicator = exact.indicator and shown.denominator = exact.denominator
    left join dispersed on shown.indicator = dispersed.indicator
),

widened as (
    select
        *,
        -- Asked for first: greatest() and least() pass over a null.
        {% for name, c in {'95': 1.959964, '998': 3.090232}.items() -%}
        case
            when od_sd is not null
                then pow(sin(greatest(0e0, asin(sqrt(target)) - {{ c }} * od_sd)), 2)
        end as od_ll{{ name }},
        case
            when od_sd is not null
                then pow(sin(least(pi() / 2, asin(sqrt(target)) + {{ c }} * od_sd)), 2)
        end as od_ul{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from bounded
),

placed as (
    select
        *,
        round(case when adjusted then od_ll998 else ll998 end, 9) as low_limit,
        round(case when adjusted then od_ul998 else ul998 end, 9) as high_limit
    from widened
),

final as (
    select
        indicator,
        clinic_key,
        window_start,
        window_end,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then numerator end as numerator,
        case when is_shown then denominator end as denominator,
        value,
        target,
        n_clinics,
        ll95,
        ul95,
        ll998,
        ul998,
        phi,
        tau2,
        adjusted,
        od_ll95,
        od_ul95,
        od_ll998,
        od_ul998,
        case
            when round(value, 9) < low_limit then 'low'
            when round(value, 9) > high_limit then 'high'
            when low_limit is not null then 'inside'
        end as position,
        not is_shown as suppressed,
        false as partly_suppressed
    from placed
)

select * from final
