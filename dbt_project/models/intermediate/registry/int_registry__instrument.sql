-- The registry: the rows that come with the project, and those that the clinic adds.
-- Rule: measurement.md A
with

shipped as (
    select * from {{ ref('instrument') }}
),

own as (
    select * from {{ source('control', 'own_instrument') }}
),

final as (
    select
        instrument,
        registry_order,
        domain,
        default_version,
        item_min,
        item_max,
        is_decimal,
        higher_is_better,
        total_rule,
        divisor,
        reported_min,
        reported_max,
        sum_min,
        sum_max,
        sum_divisor,
        rc_total,
        rc_subscale,
        sd_ref,
        unit,
        clinical_cut,
        functional_cut,
        functional_rule,
        citation
    from shipped
    union all
    select
        instrument,
        coalesce(registry_order, 1000) as registry_order,
        domain,
        default_version,
        item_min,
        item_max,
        is_decimal,
        higher_is_better,
        total_rule,
        divisor,
        reported_min,
        reported_max,
        sum_min,
        sum_max,
        sum_divisor,
        rc_total,
        rc_subscale,
        sd_ref,
        unit,
        clinical_cut,
        functional_cut,
        functional_rule,
        citation
    from own
)

select * from final
