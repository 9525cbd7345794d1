-- What rules need of each alliance or outcome instrument, the clinic's own settings first.
-- Rule: measurement.md A1, A2, C, J
with

instruments as (
    select * from {{ ref('int_registry__instrument') }} where domain in ('alliance', 'outcome')
),

settings as (
    select * from {{ source('control', 'setting') }}
),

final as (
    select
        instruments.instrument,
        instruments.registry_order,
        instruments.domain,
        instruments.higher_is_better,
        instruments.unit,
        instruments.sd_ref,
        instruments.reported_min as scale_min,
        instruments.reported_max as scale_max,
        coalesce(own_rc.number, instruments.rc_total) as rc_total,
        coalesce(own_rc_subscale.number, instruments.rc_subscale) as rc_subscale,
        coalesce(own_cut.number, instruments.clinical_cut) as clinical_cut,
        coalesce(own_functional.number, instruments.functional_cut) as functional_cut,
        coalesce(
            instruments.functional_rule,
            case when instruments.higher_is_better then 'from' else 'up_to' end
        ) as functional_rule
    from instruments
    left join settings as own_rc
        on own_rc.name = 'instruments.' || instruments.instrument || '.rc'
    left join settings as own_rc_subscale
        on own_rc_subscale.name = 'instruments.' || instruments.instrument || '.rc_subscale'
    left join settings as own_cut
        on own_cut.name = 'instruments.' || instruments.instrument || '.cut'
    left join settings as own_functional
        on own_functional.name = 'instruments.' || instruments.instrument || '.functional'
)

select * from final
