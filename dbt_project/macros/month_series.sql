{# Every n-th month from a first day of a month up to another, one row each. #}
{% macro month_series(first, last, step) %}{{ return(adapter.dispatch('month_series', 'rapport')(first, last, step)) }}{% endmacro %}
{% macro default__month_series(first, last, step) %}explode(sequence({{ first }}, {{ last }}, make_ym_interval(0, cast({{ step }} as int)))){% endmacro %}
{% macro duckdb__month_series(first, last, step) %}cast(unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), to_months(cast({{ step }} as integer)))) as date){% endmacro %}

{# The last day of the block of n months that begins on a day. #}
{% macro last_day_of_block(first, step) %}{{ return(adapter.dispatch('last_day_of_block', 'rapport')(first, step)) }}{% endmacro %}
{% macro default__last_day_of_block(first, step) %}date_sub(add_months({{ first }}, cast({{ step }} as int)), 1){% endmacro %}
{% macro duckdb__last_day_of_block(first, step) %}cast(cast({{ first }} as timestamp) + to_months(cast({{ step }} as integer)) - to_days(1) as date){% endmacro %}

{# The first day of the block of n months, counted from January, that holds a date. #}
{% macro block_of(day, step) -%}
    make_date(
        cast(extract(year from {{ day }}) as integer),
        cast(
            1 + {{ step }} * floor((extract(month from {{ day }}) - 1) / cast({{ step }} as double))
            as integer
        ),
        1
    )
{%- endmacro %}

{# The first day of the month that holds a date. #}
{% macro month_of(day) -%}
    cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}

{# Every whole number from 0 up to another, one row each. #}
{% macro number_series(last) %}{{ return(adapter.dispatch('number_series', 'rapport')(last)) }}{% endmacro %}
{% macro default__number_series(last) %}explode(sequence(0, {{ last }})){% endmacro %}
{% macro duckdb__number_series(last) %}unnest(generate_series(0, {{ last }})){% endmacro %}
