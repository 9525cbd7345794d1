-- The target of each chart that has one: of several that fit, one for the clinic comes before
-- one for every clinic, then the one that is written last.
-- Rule: quality_improvement.md 3.3 (assurance)
with

charts as (
    select distinct
        chart_id,
        clinic_key
    from {{ ref('int_qi__chart_drawn') }}
),

clinics as (
    select * from {{ ref('dim_clinic') }}
),

targets as (
    select * from {{ source('control', 'target') }}
),

fitting as (
    select
        charts.chart_id,
        charts.clinic_key,
        targets.value,
        row_number() over (
            partition by charts.chart_id, charts.clinic_key
            order by
                case when targets.clinic is null then 1 else 0 end,
                targets.position desc
        ) as place
    from charts
    cross join targets
    left join clinics on charts.clinic_key = clinics.clinic_key
    where
        {{ matches_whole('charts.chart_id', 'targets.chart_pattern') }}
        and (
            targets.clinic is null
            or targets.clinic = charts.clinic_key
            or targets.clinic = clinics.clinic_name
        )
),

final as (
    select
        chart_id,
        clinic_key,
        value as target
    from fitting
    where place = 1
)

select * from final
