-- Every number that a chart over time draws for a month: its limits, and what it signals.
-- Rule: quality_improvement.md 3.2, 3.3 (Provost & Murray 2011; Making Data Count)
with

chart_values as (
    select * from {{ ref('int_qi__chart_value') }}
),

segments as (
    select * from {{ ref('int_qi__chart_limit') }}
),

measured as (
    select
        chart_values.*,
        segments.limits as segment_limits,
        segments.cl,
        case
            when chart_values.kind = 'xmr' then 2.66e0 * segments.mr_bar / 3
            when chart_values.kind in ('p', 'p_prime')
                then
                    segments.sigma_z
                    * sqrt(segments.cl * (1 - segments.cl) / chart_values.denominator)
            else segments.sigma_z * sqrt(segments.cl / chart_values.denominator)
        end as sigma,
        row_number() over (
            partition by chart_values.chart_id, chart_values.clinic_key, chart_values.segment
            order by chart_values.month
        ) as k
    from chart_values
    inner join segments
        on
            chart_values.chart_id = segments.chart_id
            and chart_values.clinic_key = segments.clinic_key
            and chart_values.segment = segments.segment
    where chart_values.used and segments.limits <> 'none'
),

{% set ends = {
    'lcl': ('- 3', 'greatest(0e0, ', ')'),
    'ucl': ('+ 3', 'least(1e0, ', ')'),
    'lo2': ('- 2', 'greatest(0e0, ', ')'),
    'hi2': ('+ 2', 'least(1e0, ', ')'),
} %}
limited as (
    select
        *,
        {% for name, (far, bound, close) in ends.items() -%}
        case
            when kind in ('p', 'p_prime'{{ ", 'u', 'u_prime'" if '-' in far }})
                then {{ bound }}cl {{ far }} * sigma{{ close }}
            else cl {{ far }} * sigma
        end as {{ name }},
        {% endfor -%}
        round(value, 9) - lag(round(value, 9)) over (
            partition by chart_id, clinic_key, segment
            order by k
        ) as step
    from measured
),

sided as (
    select
        *,
        case
            when round(value, 9) > round(ucl, 9) then 1
            when round(value, 9) < round(lcl, 9) then -1
            else 0
        end as outside,
        case
            when round(value, 9) > round(cl, 9) then 1
            when round(value, 9) < round(cl, 9) then -1
            else 0
        end as line,
        case when step > 0 then 1 when step < 0 then -1 else 0 end as way,
        case
            when round(value, 9) > round(hi2, 9) and round(value, 9) <= round(ucl, 9) then 1
            when round(value, 9) < round(lo2, 9) and round(value, 9) >= round(lcl, 9) then -1
            else 0
        end as near_limit
    from limited
),

-- A run is what keeps its distance between all points and its own.
runs as (
    select
        *,
        k - row_number() over (
            partition by chart_id, clinic_key, segment, line
            order by k
        ) as line_run,
        k - row_number() over (
            partition by chart_id, clinic_key, segment, way
            order by k
        ) as way_run,
        case
            when
                line <> 0
                and sum(line) over last_three = 3 * line
                and sum(case when near_limit = line then 1 else 0 end) over last_three >= 2
                then line
            else 0
        end as ends_three
    from sided
    window
        last_three as (
            partition by chart_id, clinic_key, segment
            order by k
            rows between 2 preceding and current row
        )
),

counted as (
    select
        *,
        count(*) over (partition by chart_id, clinic_key, segment, line, line_run)
            as n_line,
        -- The rises and the point that they rise from.
        1 + count(*) over (partition by chart_id, clinic_key, segment, way, way_run)
            as n_way,
        max(ends_three) over next_three as is_high_three,
        min(ends_three) over next_three as is_low_three
    from runs
    window
        next_three as (
            partition by chart_id, clinic_key, segment
            order by k
            rows between current row and 2 following
        )
),

trended as (
    select
        *,
        case when n_way >= {{ setting('qi.trend_points') }} then way else 0 end as trend
    from counted
),

led as (
    select
        *,
        coalesce(
            lead(trend) over (partition by chart_id, clinic_key, segment order by k), 0
        ) as next_trend
    from trended
),

found as (
    select
        *,
        case
            when outside <> 0 then 'outside'
            when trend <> 0 or next_trend <> 0 then 'trend'
            when near_limit = 1 and is_high_three = 1 then 'two_of_three'
            when near_limit = -1 and is_low_three = -1 then 'two_of_three'
            when line <> 0 and n_line >= {{ setting('qi.shift_points') }} then 'shift'
            else 'none'
        end as rule
    from led
),

signed as (
    select
        *,
        case rule
            when 'outside' then outside
            -- At a peak the rise is told, at a trough the fall: what led to it.
            when 'trend' then case when trend <> 0 then trend else next_trend end
            when 'two_of_three' then near_limit
            when 'shift' then line
        end as sign
    from found
),

signals as (
    select
        *,
        case sign when 1 then 'up' when -1 then 'down' end as side,
        case
            when sign is null then 'common_cause'
            when direction = 'neutral' and sign = 1 then 'neutral_high'
            when direction = 'neutral' then 'neutral_low'
            when direction = 'up' and sign = 1 then 'improvement_high'
            when direction = 'up' then 'concern_low'
            when sign = 1 then 'concern_high'
            else 'improvement_low'
        end as icon
    from signed
),

final as (
    select
        chart_values.chart_id,
        chart_values.clinic_key,
        chart_values.month,
        chart_values.value,
        chart_values.numerator,
        chart_values.denominator,
        chart_values.segment,
        signals.cl,
        signals.lcl,
        signals.ucl,
        signals.lo2,
        signals.hi2,
        coalesce(signals.segment_limits, 'none') as limits,
        signals.rule,
        signals.side,
        signals.icon,
        chart_values.used
    from chart_values
    left join signals
        on
            chart_values.chart_id = signals.chart_id
            and chart_values.clinic_key = signals.clinic_key
            and chart_values.month = signals.month
)

select * from final
