{#
    The score-based methods that know baseline, trigger and repair level without walking:
    baseline, trigger, repair level.
#}
{%- set size = 'methods.trigger_multiple * units.drop_unit' -%}
{%- set below_previous = (
    'history.previous_score',
    le('history.score', 'history.previous_score - ' ~ size),
    'history.previous_score - methods.repair_multiple * units.drop_unit',
    'history.score_number - 1',
) -%}
{%- set control_chart = (
    'history.series_mean',
    'history.sigma > ' ~ eps() ~ ' and '
    ~ lt('history.score', 'history.series_mean - methods.trigger_multiple * history.sigma'),
    'history.series_mean',
    '1',
) -%}
{%- set decline_unit = 'greatest(history.series_sd, parameters.sd_ref)' -%}
{%- set stateless = {
    'adjacent_rci': below_previous,
    'v_shape_sd': below_previous,
    'abs_drop': below_previous,
    'control_chart_l1': control_chart,
    'control_chart_l2': control_chart,
    'control_chart_l3': control_chart,
    'gumz_decline': (
        'history.decline_from_score',
        ge(
            'history.decline_from_score - history.score',
            'methods.trigger_multiple * ' ~ decline_unit
        ),
        'history.decline_from_score - methods.repair_multiple * ' ~ decline_unit,
        'history.decline_from',
    ),
    'sudden_drop': (
        'history.previous_score',
        ge('history.previous_score - history.score', 'parameters.rc_total')
        ~ ' and ' ~ ge(
            'history.previous_score - history.score',
            'methods.trigger_multiple * (history.previous_score - parameters.scale_min)'
        ) ~ ' and history.is_lower_by_t_test',
        'history.previous_score'
        ~ ' - methods.repair_multiple * (history.previous_score - history.score)',
        'history.score_number - 1',
    ),
} -%}
{%- set stateful = {
    'default_rc3': (
        'parameters.rc_total',
        'cast(null as integer)',
        "cast(" ~ setting('rupture.baseline_min') ~ " as integer)",
        "cast(" ~ setting('rupture.baseline_scores') ~ " as integer)",
    ),
    'prior_mean_z': (
        'methods.floor_units * parameters.unit',
        '1',
        '3',
        'cast(null as integer)',
    ),
} -%}
-- Every score that a method walks over, with what the method asks there: its baseline,
-- whether it fires, the repair level. Where that hangs on earlier ruptures of the series
-- (default_rc3, prior_mean_z) the walk finds it from the parameters here. A decline never
-- reaches back over a repair, since a repair score lies above the one before it.
-- Series in which such a method never fires are not walked.
-- Rule: measurement.md D2, D3
with

history as (
    select * from {{ ref('int_rupture__history') }}
),

scores as (
    select * from {{ ref('int_rupture__score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

methods as (
    select * from {{ ref('int_rupture__method') }}
),

thresholds as (
    select * from {{ ref('rupture_threshold') }}
),

units as (
    select
        methods.method,
        parameters.instrument,
        case methods.drop_unit
            when 'rc' then parameters.rc_total
            when 'sd_ref' then parameters.sd_ref
            when 'unit' then parameters.unit
        end as drop_unit
    from parameters
    cross join methods
),

{% for method, (baseline, fires, repair_level, reference_from) in stateless.items() -%}
{{ method }} as (
    select
        history.series_no * 100 + methods.method_no as walk_no,
        methods.method,
        history.series_no,
        history.score_number,
        history.score as walk_score,
        {{ baseline }} as baseline,
        {{ reference_from }} as reference_from,
        coalesce({{ fires }}, false) as fires,
        {{ repair_level }} as repair_level,
        false as is_repaired_at_once
    from history
    inner join parameters on history.instrument = parameters.instrument
    inner join methods
        on
            methods.method = '{{ method }}'
            and history.n_series_scores >= methods.min_scores
    inner join units
        on methods.method = units.method and history.instrument = units.instrument
),

{% endfor -%}
-- A form is well (1) or not (0): what is not well opens, and what is well repairs.
psq_direct as (
    select
        scores.series_no * 100 + methods.method_no as walk_no,
        methods.method,
        scores.series_no,
        scores.score_number,
        case
            when not scores.is_tense then 1e0
            when scores.resolved >= thresholds.resolved_from then 1e0
            else 0e0
        end as walk_score,
        cast(null as double) as baseline,
        cast(null as integer) as reference_from,
        scores.is_tense as fires,
        1e0 as repair_level,
        coalesce(scores.resolved >= thresholds.resolved_from, false) as is_repaired_at_once
    from scores
    inner join methods on methods.method = 'psq_direct'
    inner join thresholds on methods.method = thresholds.method
    where scores.instrument = 'PSQ'
),

srs_judged as (
    select
        history.series_no * 100 + methods.method_no as walk_no,
        methods.method,
        history.series_no,
        history.score_number,
        {{ le('history.score', 'thresholds.total_up_to') }}
        {% for part in ['goal', 'task', 'bond', 'overall'] -%}
        or coalesce({{ lt('history.client_' ~ part, 'thresholds.item_below') }}, false)
        {% endfor -%}
        as fires
    from history
    inner join methods on methods.method = 'srs_concern'
    inner join thresholds on methods.method = thresholds.method
    where history.instrument = 'SRS'
),

srs_concern as (
    select
        walk_no,
        method,
        series_no,
        score_number,
        case when fires then 0e0 else 1e0 end as walk_score,
        cast(null as double) as baseline,
        cast(null as integer) as reference_from,
        fires,
        1e0 as repair_level,
        false as is_repaired_at_once
    from srs_judged
),

stateless as (
    {% for method in stateless.keys() | list + ['psq_direct', 'srs_concern'] -%}
    select * from {{ method }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

walked as (
    select distinct walk_no from stateless where fires
),

stateful as (
    {% for method, (unit, reference_from, least, most) in stateful.items() -%}
    select
        history.series_no * 100 + methods.method_no as walk_no,
        methods.method,
        methods.method as rule,
        history.series_no,
        history.score_number,
        history.score as walk_score,
        cast(null as double) as baseline,
        {{ reference_from }} as reference_from,
        {{ unit }} as drop_unit,
        methods.trigger_multiple,
        methods.repair_multiple,
        {{ least }} as min_reference,
        {{ most }} as max_reference
    from history
    inner join parameters on history.instrument = parameters.instrument
    inner join methods
        on
            methods.method = '{{ method }}'
            and history.n_series_scores >= methods.min_scores
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

final as (
    select
        stateless.walk_no,
        stateless.method,
        'stateless' as rule,
        stateless.series_no,
        stateless.score_number,
        stateless.walk_score,
        stateless.baseline,
        stateless.reference_from,
        stateless.fires,
        stateless.repair_level,
        stateless.is_repaired_at_once,
        cast(null as double) as drop_unit,
        cast(null as double) as trigger_multiple,
        cast(null as double) as repair_multiple,
        cast(null as integer) as min_reference,
        cast(null as integer) as max_reference
    from stateless
    inner join walked on stateless.walk_no = walked.walk_no
    union all
    select
        walk_no,
        method,
        rule,
        series_no,
        score_number,
        walk_score,
        baseline,
        reference_from,
        cast(null as boolean) as fires,
        cast(null as double) as repair_level,
        false as is_repaired_at_once,
        drop_unit,
        trigger_multiple,
        repair_multiple,
        min_reference,
        max_reference
    from stateful
)

select * from final
