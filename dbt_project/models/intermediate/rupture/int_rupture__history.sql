-- What the methods ask of each alliance total besides itself, known without walking: its
-- neighbours, the decline that it ends, and its whole series' centre and spread.
-- Rule: measurement.md D3
with

scores as (
    select * from {{ ref('int_rupture__score') }} where score is not null
),

neighbours as (
    select
        series_no,
        instrument,
        score_number,
        n_series_scores,
        score,
        client_goal,
        client_task,
        client_bond,
        client_overall,
        {% for n in [1, 2, 3] -%}
        lag(score, {{ n }}) over (
            partition by series_no order by score_number
        ) as previous_{{ n }},
        {% endfor -%}
        {% for n in [1, 2] -%}
        lead(score, {{ n }}) over (
            partition by series_no order by score_number
        ) as next_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from scores
),

-- A decline goes on as long as each score is really below the one before.
declines as (
    select
        *,
        max(
            case
                when {{ lt('score', 'previous_1') }} then null
                else score_number
            end
        ) over (
            partition by series_no order by score_number
            rows between unbounded preceding and current row
        ) as decline_from
    from neighbours
),

series_lists as (
    select
        series_no,
        {{ ordered_list('score', 'score_number') }} as series_scores
    from neighbours
    group by series_no
),

series_means as (
    select
        series_no,
        series_scores,
        {{ mean_of('series_scores') }} as series_mean
    from series_lists
),

-- Each score's distance from the one before.
move_lists as (
    select
        series_no,
        {{ ordered_list('abs(score - previous_1)', 'score_number') }} as moves
    from neighbours
    where previous_1 is not null
    group by series_no
),

series_spreads as (
    select
        series_means.series_no,
        series_means.series_mean,
        case
            when {{ n_of('series_means.series_scores') }} > 1
                then sqrt(
                    {{ squares_of('series_means.series_scores', 'series_means.series_mean') }}
                    / ({{ n_of('series_means.series_scores') }} - 1)
                )
        end as series_sd,
        {{ mean_of('move_lists.moves') }} / 1.128e0 as sigma
    from series_means
    left join move_lists on series_means.series_no = move_lists.series_no
),

-- Up to three scores before, and up to three from here on, with at least two of each.
sides as (
    select
        *,
        case when previous_3 is null then 2 else 3 end as n_before,
        case when next_2 is null then 2 else 3 end as n_after,
        (previous_2 + previous_1 + coalesce(previous_3, 0))
        / (case when previous_3 is null then 2e0 else 3e0 end) as mean_before,
        (score + next_1 + coalesce(next_2, 0))
        / (case when next_2 is null then 2e0 else 3e0 end) as mean_after
    from declines
),

pooled as (
    select
        *,
        sqrt(
            (
                power(previous_1 - mean_before, 2)
                + power(previous_2 - mean_before, 2)
                + coalesce(power(previous_3 - mean_before, 2), 0)
                + power(score - mean_after, 2)
                + power(next_1 - mean_after, 2)
                + coalesce(power(next_2 - mean_after, 2), 0)
            ) / (n_before + n_after - 2)
        ) as pooled_sd
    from sides
),

final as (
    select
        pooled.series_no,
        pooled.instrument,
        pooled.score_number,
        pooled.n_series_scores,
        pooled.score,
        pooled.client_goal,
        pooled.client_task,
        pooled.client_bond,
        pooled.client_overall,
        pooled.previous_1 as previous_score,
        pooled.decline_from,
        max(pooled.score) over (
            partition by pooled.series_no, pooled.decline_from
            order by pooled.score_number
            rows between unbounded preceding and current row
        ) as decline_from_score,
        series_spreads.series_mean,
        series_spreads.series_sd,
        series_spreads.sigma,
        -- The paper's t-test; without any spread a lower mean is enough.
        coalesce(
            case
                when pooled.pooled_sd <= 1e-9
                    then {{ gt('pooled.mean_before', 'pooled.mean_after') }}
                else {{ ge(
                    '(pooled.mean_before - pooled.mean_after) / (pooled.pooled_sd'
                    ~ ' * sqrt(1e0 / pooled.n_before + 1e0 / pooled.n_after))',
                    'case pooled.n_before + pooled.n_after'
                    ~ ' when 4 then 4.303e0 when 5 then 3.182e0 else 2.776e0 end'
                ) }}
            end,
            false
        ) as is_lower_by_t_test
    from pooled
    inner join series_spreads on pooled.series_no = series_spreads.series_no
)

select * from final
