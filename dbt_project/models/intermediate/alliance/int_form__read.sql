-- Each answered item of every session form (RAP-T, RAP-S, PSQ) of a rater that may fill it
-- in: a whole number in its range. Any other value is not answered.
-- Rule: measurement.md A3, A4.2
with

forms as (
    select * from {{ ref('int_administration__timed') }}
    where domain = 'form' and is_right_rater
),

items as (
    select * from {{ ref('int_measure_item__current') }}
),

form_items as (
    select * from {{ ref('form_item') }}
),

final as (
    select
        forms.administration_key,
        forms.instrument,
        forms.rater,
        form_items.item,
        cast(round(items.value) as integer) as value
    from forms
    inner join items on forms.administration_key = items.administration_key
    inner join form_items
        on forms.instrument = form_items.instrument and items.item = form_items.item
    where
        {{ ge('items.value', 'form_items.item_min') }}
        and {{ le('items.value', 'form_items.item_max') }}
        and {{ le('abs(items.value - round(items.value))', 0) }}
)

select * from final
