-- The methods of finding ruptures that are switched on, with their parameters; where the
-- registry leaves the repair open, it is the clinic's own fraction.
-- Rule: measurement.md D3, J
with

methods as (
    select * from {{ ref('rupture_method') }}
),

final as (
    select
        method,
        method_version,
        method_no,
        min_scores,
        drop_unit,
        trigger_multiple,
        coalesce(
            repair_multiple, {{ setting('rupture.repair_fraction') }}
        ) as repair_multiple,
        floor_units,
        stable_share,
        is_retrospective
    from methods
    where
        position(
            ',' || method || ',' in ',' || {{ setting_text('rupture.methods') }} || ','
        ) > 0
)

select * from final
