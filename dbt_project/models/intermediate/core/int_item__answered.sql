-- Each scored item of a form, per scale, with its value as scored, or null where it is
-- not answered: empty, unreadable, out of range, a fraction of a whole-number item.
-- Rule: measurement.md A4.2
with

forms as (
    select * from {{ ref('int_administration__timed') }}
    where is_known_instrument and is_right_rater and domain <> 'form'
),

items as (
    select * from {{ ref('int_measure_item__current') }}
),

registry as (
    select
        scale_items.instrument,
        scale_items.subscale,
        scale_items.item,
        scale_items.is_reversed,
        instruments.item_min,
        instruments.item_max,
        instruments.is_decimal
    from {{ ref('int_registry__item') }} as scale_items
    inner join {{ ref('int_registry__scale') }} as scales
        on
            scale_items.instrument = scales.instrument
            and scale_items.subscale = scales.subscale
    inner join {{ ref('int_registry__instrument') }} as instruments
        on scale_items.instrument = instruments.instrument
),

read_items as (
    select
        forms.administration_key,
        registry.instrument,
        registry.subscale,
        registry.item,
        case
            when
                {{ ge('items.value', 'registry.item_min') }}
                and {{ le('items.value', 'registry.item_max') }}
                and (
                    registry.is_decimal
                    or {{ le('abs(items.value - round(items.value))', 0) }}
                )
                then items.value
        end as value,
        registry.is_reversed,
        registry.item_min + registry.item_max as reverse_from
    from forms
    inner join items on forms.administration_key = items.administration_key
    inner join registry
        on forms.instrument = registry.instrument and items.item = registry.item
),

final as (
    select
        administration_key,
        instrument,
        subscale,
        item,
        case when is_reversed then reverse_from - value else value end as value
    from read_items
)

select * from final
