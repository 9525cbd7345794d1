-- The item set of each administration, whole from the latest delivery that carries any
-- item of it; an item with two different values there counts as not answered.
-- Rule: measurement.md K1
{{ current_version('stg_measure_item', 'measure_items', ['administration_key'], touched='administration') }},

-- The latest row of an administration says which delivery its set comes from.
latest as (
    select
        administration_key,
        batch_id
    from current_version
),

items as (
    select
        delivered.administration_key,
        delivered.item,
        delivered.value,
        delivered.value_kind
    from {{ 'versions' if is_increment() else ref('stg_measure_item') }} as delivered
    inner join latest
        on
            delivered.administration_key = latest.administration_key
            and delivered.batch_id = latest.batch_id
),

final as (
    select
        administration_key,
        item,
        case when count(distinct value_kind) = 1 and min(value) = max(value)
            then min(value)
        end as value,
        case
            when
                count(distinct value_kind) > 1
                or coalesce(min(value) <> max(value), false)
                then 'conflict'
            else min(value_kind)
        end as value_kind
    from items
    group by administration_key, item
)

select * from final
