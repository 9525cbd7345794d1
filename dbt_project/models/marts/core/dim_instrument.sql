-- One instrument, version, rater and subscale, with all that scoring it needs.
-- Rule: measurement.md A
with

instruments as (
    select * from {{ ref('int_registry__instrument') }}
),

raters as (
    select * from {{ ref('int_registry__rater') }}
),

scales as (
    select * from {{ ref('int_registry__scale') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

items as (
    select
        instrument,
        subscale,
        {{ joined_in_order('item', 'item_order') }} as item_list,
        cast(count(*) as integer) as n_items
    from (
        select
            instrument,
            subscale,
            item,
            lpad(item, 16, '0') as item_order
        from {{ ref('int_registry__item') }}
        where subscale <> 'not_scored'
    ) as registry
    group by instrument, subscale
),

final as (
    select
        instruments.instrument,
        cast(instruments.default_version as string) as version,
        raters.rater,
        items.subscale,
        instruments.domain,
        items.item_list,
        items.n_items,
        scales.scale_min,
        scales.scale_max,
        instruments.item_min,
        instruments.item_max,
        case
            when instruments.domain = 'form' then null
            when instruments.higher_is_better then 'higher_better'
            else 'lower_better'
        end as direction,
        case
            when items.subscale = 'total' then parameters.rc_total
            else parameters.rc_subscale
        end as reliable_change,
        case when items.subscale = 'total' then parameters.clinical_cut end
            as clinical_cut,
        case when items.subscale = 'total' then parameters.functional_cut end
            as functional_cut,
        case
            when items.subscale = 'total' and parameters.functional_cut is not null
                then parameters.functional_rule
        end as functional_rule,
        case
            when scales.rule in ('mean_of_subscales', 'sum_of_subscales')
                then 'needs every subscale'
            when scales.max_missing = 0 then 'needs every item'
            when scales.max_missing is not null
                then
                    'up to ' || cast(scales.max_missing as string)
                    || ' missing, prorated'
        end as missing_rule,
        instruments.citation
    from instruments
    inner join raters on instruments.instrument = raters.instrument
    inner join items on instruments.instrument = items.instrument
    left join scales
        on items.instrument = scales.instrument and items.subscale = scales.subscale
    left join parameters on instruments.instrument = parameters.instrument
)

select * from final
