{# The median; of an even count the mean of the middle two. #}
{% macro median_of(column) %}{{ return(adapter.dispatch('median_of', 'rapport')(column)) }}{% endmacro %}
{% macro default__median_of(column) %}percentile_cont(0.5) within group (order by {{ column }}){% endmacro %}
{% macro duckdb__median_of(column) %}quantile_cont({{ column }}, 0.5){% endmacro %}

{# A quantile, interpolated linearly between the two values beside it. #}
{% macro quantile_of(column, q) %}{{ return(adapter.dispatch('quantile_of', 'rapport')(column, q)) }}{% endmacro %}
{% macro default__quantile_of(column, q) %}percentile_cont({{ q }}) within group (order by {{ column }}){% endmacro %}
{% macro duckdb__quantile_of(column, q) %}quantile_cont({{ column }}, {{ q }}){% endmacro %}
