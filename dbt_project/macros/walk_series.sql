{#
    Walks each series of an event table (one row a walk and score, numbered from 1) and
    returns one row a walk and score with what the score is. DuckDB steps through all
    series at once by recursion; the default folds each series' scores in one expression.
    Both ask the macros of rupture_step.sql, which know `walk`, the state after the score
    before, and `event`, the score; `judged` is what they decided.
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
        event.walk_no,
        event.score_number,
        {{ rupture_next_outside('outside_scores', 'event.walk_score') }} as outside_scores,
        {{ rupture_next_outside('outside_numbers', 'event.score_number') }}
            as outside_numbers,
        walk.n_outside + {{ rupture_is_outside() }} as n_outside,
        {{ rupture_next_mean() }} as mean_outside,
        {{ rupture_next_squares() }} as squares_outside,
        judged.compared_with,
        {{ rupture_of_open('repair_level', 'judged.repair_level') }} as repair_level,
        {{ rupture_of_open('onset_number', 'event.score_number') }} as onset_number,
        {{ rupture_of_open('reference_from', 'judged.reference_from') }} as reference_from,
        judged.step in ('onset', 'inside') as is_open,
        judged.step
    from (
        select
            walk,
            event,
            struct_pack(
                compared_with := named.compared_with,
                step := {{ rupture_step('named.compared_with', 'named.unit') }},
                repair_level :=
                {{ rupture_repair_level('named.compared_with', 'named.unit') }},
                reference_from := {{ rupture_reference_from() }}
            ) as judged
        from (
            select
                walk,
                event,
                struct_pack(
                    compared_with := {{ rupture_compared_with() }},
                    unit := {{ rupture_unit() }}
                ) as named
            from walk
            inner join {{ events }} as event
                on
                    walk.walk_no = event.walk_no
                    and walk.score_number + 1 = event.score_number
        ) as compared
    ) as decided
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

{% macro default__walk_series(events) %}
with

series as (
    select
        walk_no,
        method,
        series_no,
        array_sort(
            collect_list(
                struct(
                    score_number, rule, walk_score, baseline, reference_from, fires,
                    repair_level, is_repaired_at_once, drop_unit, trigger_multiple,
                    repair_multiple, min_reference, max_reference
                )
            ),
            (a, b) -> a.score_number - b.score_number
        ) as events
    from {{ events }}
    group by walk_no, method, series_no
),

-- `transform` over an array of one lends a name to what the macros decided. No list is
-- empty; `outer` keeps Spark from folding once more to ask whether it is.
walked as (
    select
        walk_no,
        method,
        series_no,
        aggregate(
            events,
            named_struct(
                'outside_scores', cast(array() as array<double>),
                'outside_numbers', cast(array() as array<int>),
                'n_outside', 0,
                'mean_outside', cast(null as double),
                'squares_outside', 0D,
                'compared_with', cast(null as double),
                'repair_level', cast(null as double),
                'onset_number', cast(null as int),
                'reference_from', cast(null as int),
                'is_open', false,
                'steps', cast(array() as array<struct<
                    score_number: int, compared_with: double, repair_level: double,
                    onset_number: int, reference_from: int, is_open: boolean, step: string
                >>)
            ),
            (walk, event) -> element_at(transform(
                transform(
                    array(named_struct(
                        'compared_with', {{ rupture_compared_with() }},
                        'unit', {{ rupture_unit() }}
                    )),
                    named -> named_struct(
                        'compared_with', named.compared_with,
                        'step', {{ rupture_step('named.compared_with', 'named.unit') }},
                        'repair_level',
                        {{ rupture_repair_level('named.compared_with', 'named.unit') }},
                        'reference_from', {{ rupture_reference_from() }}
                    )
                ),
                judged -> named_struct(
                    'outside_scores',
                    {{ rupture_next_outside('outside_scores', 'event.walk_score') }},
                    'outside_numbers',
                    {{ rupture_next_outside('outside_numbers', 'event.score_number') }},
                    'n_outside', walk.n_outside + {{ rupture_is_outside() }},
                    'mean_outside', {{ rupture_next_mean() }},
                    'squares_outside', {{ rupture_next_squares() }},
                    'compared_with', judged.compared_with,
                    'repair_level', {{ rupture_of_open('repair_level', 'judged.repair_level') }},
                    'onset_number', {{ rupture_of_open('onset_number', 'event.score_number') }},
                    'reference_from',
                    {{ rupture_of_open('reference_from', 'judged.reference_from') }},
                    'is_open', judged.step in ('onset', 'inside'),
                    'steps', concat(walk.steps, array(named_struct(
                        'score_number', event.score_number,
                        'compared_with', judged.compared_with,
                        'repair_level',
                        {{ rupture_of_open('repair_level', 'judged.repair_level') }},
                        'onset_number',
                        {{ rupture_of_open('onset_number', 'event.score_number') }},
                        'reference_from',
                        {{ rupture_of_open('reference_from', 'judged.reference_from') }},
                        'is_open', judged.step in ('onset', 'inside'),
                        'step', judged.step
                    )))
                )
            ), 1)
        ).steps as steps
    from series
),

final as (
    select
        walked.walk_no,
        walked.method,
        walked.series_no,
        stepped.score_number,
        stepped.compared_with,
        stepped.repair_level,
        stepped.onset_number,
        stepped.reference_from,
        stepped.is_open,
        stepped.step
    from walked
    lateral view outer explode(walked.steps) exploded as stepped
)

select * from final
{% endmacro %}
