-- The care signals in the order in which they are told, each with its rule in words.
-- Rule: measurement.md I
with

signals as (
    select * from {{ ref('care_signal') }}
),

final as (
    select
        signal,
        position,
        label,
        rule,
        source
    from signals
)

select * from final
