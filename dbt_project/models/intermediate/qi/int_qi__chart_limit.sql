-- The baseline of each segment of a chart: its centre, its spread by screened moving ranges,
-- and why it has no limits, if it has none.
-- Rule: quality_improvement.md 3.1, 3.2 (Nelson 1982; Laney 2002; Provost & Murray 2011)
with

chart_values as (
    select * from {{ ref('int_qi__chart_value') }}
),

points as (
    select
        *,
        row_number() over (partition by chart_id, clinic_key, segment order by month) as k,
        count(*) over (partition by chart_id, clinic_key, segment) as n_points
    from chart_values
    where used
),

-- A chart that is asked for as a run chart has no limits, however long it is.
baseline as (
    select *
    from points
    where n_points >= 12 and k <= 24 and kind <> 'run'
),

centred as (
    select
        chart_id,
        clinic_key,
        segment,
        max(kind) as kind,
        count(*) as baseline_points,
        case
            when max(kind) = 'xmr' then round(avg(value), 12)
            else {{ share_of('sum(numerator)', 'sum(denominator)') }}
        end as cl
    from baseline
    group by chart_id, clinic_key, segment
),

-- What moving ranges are taken of: scores, or shares in units of their own chance error.
standardised as (
    select
        baseline.chart_id,
        baseline.clinic_key,
        baseline.segment,
        baseline.k,
        case
            when centred.kind = 'xmr' then baseline.value
            when centred.kind = 'p_prime'
                then
                    (baseline.value - centred.cl)
                    / nullif(sqrt(centred.cl * (1 - centred.cl) / baseline.denominator), 0)
            when centred.kind = 'u_prime'
                then
                    (baseline.value - centred.cl)
                    / nullif(sqrt(centred.cl / baseline.denominator), 0)
        end as z,
        case
            when centred.kind in ('p', 'p_prime')
                then baseline.denominator * least(centred.cl, 1 - centred.cl)
            when centred.kind in ('u', 'u_prime') then baseline.denominator * centred.cl
        end as expected
    from baseline
    inner join centred
        on
            baseline.chart_id = centred.chart_id
            and baseline.clinic_key = centred.clinic_key
            and baseline.segment = centred.segment
),

moved as (
    select
        *,
        abs(
            z - lag(z) over (partition by chart_id, clinic_key, segment order by k)
        ) as moving_range
    from standardised
),

averaged as (
    select
        *,
        round(avg(moving_range) over (partition by chart_id, clinic_key, segment), 12)
            as mean_range
    from moved
),

screened as (
    select
        chart_id,
        clinic_key,
        segment,
        max(mean_range) as mean_range,
        {{ median_of('expected') }} as median_expected,
        count(moving_range) as n_ranges,
        count(case when round(moving_range, 9) < round(3.267 * mean_range, 9) then 1 end)
            as n_kept,
        round(avg(
            case
                when round(moving_range, 9) < round(3.267 * mean_range, 9) then moving_range
            end
        ), 12) as mean_kept
    from averaged
    group by chart_id, clinic_key, segment
),

judged as (
    select
        *,
        case
            when n_ranges = 0 or {{ setting('qi.screen_moving_ranges') }} = 0 then 'off'
            when n_kept = n_ranges then 'none'
            when n_kept < 0.75 * n_ranges or (mean_kept = 0 and mean_range > 0)
                then 'fallback'
            else 'applied'
        end as screening
    from screened
),

spread as (
    select
        judged.*,
        centred.kind,
        centred.cl,
        centred.baseline_points,
        case when judged.screening = 'applied' then judged.mean_kept else judged.mean_range end
            as mr_bar,
        case
            when centred.kind = 'xmr' and judged.mean_range = 0 then 'no_variation'
            when centred.kind <> 'xmr' and centred.cl = 0 then 'rate_at_bound'
            when centred.kind in ('p', 'p_prime') and centred.cl = 1 then 'rate_at_bound'
            when round(judged.median_expected, 9) < 3 then 'small_denominators'
        end as no_limits
    from judged
    inner join centred
        on
            judged.chart_id = centred.chart_id
            and judged.clinic_key = centred.clinic_key
            and judged.segment = centred.segment
),

segments as (
    select
        chart_id,
        clinic_key,
        segment,
        max(indicator) as indicator,
        max(instrument) as instrument,
        max(kind) as kind,
        max(direction) as direction,
        max(change_note) as change_note,
        min(case when used then month end) as start_month,
        cast(count(case when used then 1 end) as integer) as n_points
    from chart_values
    group by chart_id, clinic_key, segment
),

told as (
    select
        segments.*,
        spread.cl,
        spread.mr_bar,
        spread.screening,
        coalesce(spread.baseline_points, 0) as baseline_points,
        case
            when segments.kind = 'run' then 'run_chart'
            when segments.n_points < 12 then 'too_few_points'
            else spread.no_limits
        end as reason
    from segments
    left join spread
        on
            segments.chart_id = spread.chart_id
            and segments.clinic_key = spread.clinic_key
            and segments.segment = spread.segment
),

-- Plain p and u charts trust the binomial or Poisson spread as it is.
widened as (
    select
        *,
        case
            when reason is not null or kind = 'xmr' then null
            when kind in ('p', 'u') then 1e0
            else mr_bar / 1.128e0
        end as sigma_z_raw
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
        change_note,
        start_month,
        n_points,
        cast(baseline_points as integer) as baseline_points,
        reason,
        case
            when reason is not null then 'none'
            when n_points < 24 then 'trial'
            else 'fixed'
        end as limits,
        case when reason is null then cl end as cl,
        case when reason is null then mr_bar end as mr_bar,
        case when reason is null then screening end as screening,
        sigma_z_raw,
        case
            when {{ setting('qi.sigma_z_floor') }} = 0 then sigma_z_raw
            when sigma_z_raw is not null then greatest(1e0, sigma_z_raw)
        end as sigma_z
    from widened
)

select * from final
