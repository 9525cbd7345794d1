{#
    Walks each series of an event table (one row a walk and score, numbered from 1) and
    returns one row a walk and score with what the score is. DuckDB steps through all
    series at once by recursion, and asks the macros of rupture_step.sql at each score.
#}
{% macro walk_series(events) %}{{ return(adapter.dispatch('walk_series', 'rapport')(events)) }}{% endmacro %}

{% macro duckdb__walk_series(events) %}
with recursive

walk as (
    select
        walk_no,
        0 as score_number,
        cast([] as double[]) as outside_scores,
        cast([] as integer[]) as outside_numbers,
        0 as n_outside,
        cast(null as double) as mean_outside,
        0e0 as squares_outside,
        cast(null as double) as compared_with,
        cast(null as double) as repair_level,
        cast(null as integer) as onset_number,
        cast(null as integer) as reference_from,
        false as is_open,
        'start' as step
    from {{ events }}
    where score_number = 1
    union all
    select
        walk_no,
        score_number,
        {{ rupture_next_outside('outside_scores', 'walk_score') }} as outside_scores,
        {{ rupture_next_outside('outside_numbers', 'score_number') }} as outside_numbers,
        n_outside + is_outside as n_outside,
        case
            when is_outside = 0 then mean_outside
            when n_outside = 0 then walk_score
            else mean_outside + (walk_score - mean_outside) / (n_outside + 1)
        end as mean_outside,
        case
            when is_outside = 0 or n_outside = 0 then squares_outside
            else squares_outside + {{ rupture_next_square() }}
        end as squares_outside,
        compared_with,
        repair_level,
        onset_number,
        reference_from,
        step in ('onset', 'inside') as is_open,
        step
    from (
        select
            walk_no,
            score_number,
            rule,
            walk_score,
            max_reference,
            outside_scores,
            outside_numbers,
            n_outside,
            mean_outside,
            squares_outside,
            compared_with,
            step,
            case when step in ('outside', 'repair') then 1 else 0 end as is_outside,
            case
                when step in ('onset', 'passing') then onset_repair_level
                when step in ('inside', 'repair') then repair_level
            end as repair_level,
            case
                when step in ('onset', 'passing') then score_number
                when step in ('inside', 'repair') then onset_number
            end as onset_number,
            case
                when step in ('onset', 'passing') then onset_reference_from
                when step in ('inside', 'repair') then reference_from
            end as reference_from
        from (
            select
                event.walk_no,
                event.score_number,
                event.rule,
                event.walk_score,
                event.max_reference,
                walk.outside_scores,
                walk.outside_numbers,
                walk.n_outside,
                walk.mean_outside,
                walk.squares_outside,
                walk.repair_level,
                walk.onset_number,
                walk.reference_from,
                {{ rupture_compared_with() }} as compared_with,
                {{ rupture_step(rupture_compared_with(), rupture_unit()) }} as step,
                {{ rupture_repair_level(rupture_compared_with(), rupture_unit()) }}
                    as onset_repair_level,
                {{ rupture_reference_from() }} as onset_reference_from
            from walk
            inner join {{ events }} as event
                on
                    walk.walk_no = event.walk_no
                    and walk.score_number + 1 = event.score_number
        ) as judged
    ) as stepped
),

final as (
    select
        walk.walk_no,
        event.method,
        event.series_no,
        walk.score_number,
        walk.compared_with,
        walk.repair_level,
        walk.onset_number,
        walk.reference_from,
        walk.is_open,
        walk.step
    from walk
    inner join {{ events }} as event
        on walk.walk_no = event.walk_no and walk.score_number = event.score_number
)

select * from final
{% endmacro %}
