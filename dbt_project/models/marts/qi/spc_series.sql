-- Each segment of a chart over time: its limits or why it has none, its runs about the
-- median, what its last point says, and whether its limits hold the target.
-- Rule: quality_improvement.md 3.1-3.4 (Anhøj & Olesen 2014; Making Data Count)
with

segments as (
    select * from {{ ref('int_qi__chart_limit') }}
),

points as (
    select * from {{ ref('spc_point') }} where used
),

targets as (
    select * from {{ ref('int_qi__chart_target') }}
),

bounds as (
    select * from {{ ref('run_chart_bound') }}
),

medians as (
    select
        chart_id,
        clinic_key,
        segment,
        {{ median_of('value') }} as run_median,
        max(month) as last_month
    from points
    group by chart_id, clinic_key, segment
),

sided as (
    select
        points.chart_id,
        points.clinic_key,
        points.segment,
        points.month,
        case when round(points.value, 9) > round(medians.run_median, 9) then 1 else -1 end
            as line
    from points
    inner join medians
        on
            points.chart_id = medians.chart_id
            and points.clinic_key = medians.clinic_key
            and points.segment = medians.segment
    where round(points.value, 9) <> round(medians.run_median, 9)
),

crossed as (
    select
        *,
        case
            when
                line <> lag(line) over (
                    partition by chart_id, clinic_key, segment
                    order by month
                )
                then 1
            else 0
        end as is_crossing
    from sided
),

numbered as (
    select
        *,
        sum(is_crossing) over (
            partition by chart_id, clinic_key, segment
            order by month
            rows between unbounded preceding and current row
        ) as run
    from crossed
),

runs as (
    select
        chart_id,
        clinic_key,
        segment,
        run,
        count(*) as n_points
    from numbered
    group by chart_id, clinic_key, segment, run
),

counted as (
    select
        chart_id,
        clinic_key,
        segment,
        cast(sum(n_points) as integer) as n_useful,
        cast(max(n_points) as integer) as longest,
        cast(count(*) - 1 as integer) as crossings
    from runs
    group by chart_id, clinic_key, segment
),

lasts as (
    select
        points.chart_id,
        points.clinic_key,
        points.segment,
        points.icon,
        points.lcl,
        points.ucl
    from points
    inner join medians
        on
            points.chart_id = medians.chart_id
            and points.clinic_key = medians.clinic_key
            and points.segment = medians.segment
            and points.month = medians.last_month
),

told as (
    select
        segments.*,
        medians.run_median,
        coalesce(counted.n_useful, 0) as run_n_useful,
        counted.longest as run_longest,
        cast(bounds.longest_max as integer) as run_longest_max,
        counted.crossings as run_crossings,
        cast(bounds.crossings_min as integer) as run_crossings_min,
        case
            when counted.n_useful >= 10
                then
                    counted.longest > bounds.longest_max
                    or counted.crossings < bounds.crossings_min
        end as run_signal,
        lasts.icon,
        lasts.lcl,
        lasts.ucl,
        targets.target
    from segments
    left join medians
        on
            segments.chart_id = medians.chart_id
            and segments.clinic_key = medians.clinic_key
            and segments.segment = medians.segment
    left join counted
        on
            segments.chart_id = counted.chart_id
            and segments.clinic_key = counted.clinic_key
            and segments.segment = counted.segment
    left join lasts
        on
            segments.chart_id = lasts.chart_id
            and segments.clinic_key = lasts.clinic_key
            and segments.segment = lasts.segment
    left join targets
        on
            segments.chart_id = targets.chart_id
            and segments.clinic_key = targets.clinic_key
    left join bounds on counted.n_useful = bounds.n_useful
),

-- Where the target lies from the limits of the last point: beyond the upper one, beyond the
-- lower one, or between them. No side is good or bad where neither way is better.
aimed as (
    select
        *,
        case
            when lcl is null or target is null or direction = 'neutral' then null
            when round(target, 9) > round(ucl, 9) then 'up'
            when round(target, 9) < round(lcl, 9) then 'down'
            else 'between'
        end as target_side
    from told
),

final as (
    select
        chart_id,
        clinic_key,
        segment,
        indicator,
        instrument,
        kind,
        direction,
        target,
        start_month,
        n_points,
        limits,
        reason,
        baseline_points,
        cl,
        mr_bar,
        screening,
        sigma_z,
        sigma_z_raw,
        run_median,
        run_n_useful,
        run_longest,
        run_longest_max,
        run_crossings,
        run_crossings_min,
        run_signal,
        case
            when limits <> 'none' then icon
            when n_points = 0 then 'no_data'
            when run_signal is null then 'too_little_data'
            when run_signal then 'run_signal'
            else 'run_common_cause'
        end as variation,
        case
            when target_side is null then null
            when target_side = 'between' then 'hit_or_miss'
            when target_side = direction then 'consistently_misses'
            else 'consistently_meets'
        end as assurance,
        change_note
    from aimed
)

select * from final
