-- The methods of finding ruptures, each with its rule in words: methods are never mixed.
-- Rule: measurement.md D
with

methods as (
    select * from {{ ref('rupture_method') }}
),

rules as (
    select * from {{ ref('rupture_method_rule') }}
),

final as (
    select
        methods.method,
        cast(methods.method_version as string) as method_version,
        methods.min_scores,
        methods.is_retrospective,
        methods.stable_share,
        rules.baseline_words,
        rules.rule,
        methods.source
    from methods
    inner join rules on methods.method = rules.method
)

select * from final
