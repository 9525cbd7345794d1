{# The median; of an even count the mean of the middle two. #}
{% macro median_of(column) %}{{ return(adapter.dispatch('median_of', 'rapport')(column)) }}{% endmacro %}
{% macro default__median_of(column) %}percentile_cont(0.5) within group (order by {{ column }}){% endmacro %}
{% macro duckdb__median_of(column) %}quantile_cont({{ column }}, 0.5){% endmacro %}
