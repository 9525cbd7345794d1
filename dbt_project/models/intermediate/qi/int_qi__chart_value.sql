-- What each chart over time draws, with the segment that the recorded process changes put
-- each month in.
-- Rule: quality_improvement.md 3.1
with

shown as (
    select * from {{ ref('int_qi__chart_drawn') }}
),

clinics as (
    select * from {{ ref('dim_clinic') }}
),

process_changes as (
    select * from {{ source('control', 'process_change') }}
),

begun as (
    select
        chart_id,
        clinic_key,
        min(case when used then month end) as first_month
    from shown
    group by chart_id, clinic_key
),

-- The first month from the day of a change on; changes up to the first point change nothing.
changes as (
    select
        begun.chart_id,
        begun.clinic_key,
        min(shown.month) as month,
        process_changes.note
    from begun
    cross join process_changes
    left join clinics on begun.clinic_key = clinics.clinic_key
    inner join shown
        on
            begun.chart_id = shown.chart_id
            and begun.clinic_key = shown.clinic_key
            and process_changes.from_date <= shown.month
    where
        {{ matches_whole('begun.chart_id', 'process_changes.chart_pattern') }}
        and (
            process_changes.clinic is null
            or process_changes.clinic = begun.clinic_key
            or process_changes.clinic = clinics.clinic_name
        )
    group by
        begun.chart_id,
        begun.clinic_key,
        process_changes.from_date,
        process_changes.note,
        begun.first_month
    having min(shown.month) > begun.first_month
),

boundaries as (
    select
        chart_id,
        clinic_key,
        month,
        min(note) as note
    from changes
    group by chart_id, clinic_key, month
),

final as (
    select
        shown.*,
        cast(
            sum(case when boundaries.month is not null then 1 else 0 end) over (
                partition by shown.chart_id, shown.clinic_key
                order by shown.month
                rows between unbounded preceding and current row
            ) as integer
        ) as segment,
        boundaries.note as change_note
    from shown
    left join boundaries
        on
            shown.chart_id = boundaries.chart_id
            and shown.clinic_key = boundaries.clinic_key
            and shown.month = boundaries.month
)

select * from final
