{# Lists, which the engines spell differently. #}
{% macro last_of(list, value, n) %}{{ return(adapter.dispatch('last_of', 'rapport')(list, value, n)) }}{% endmacro %}
{% macro default__last_of(list, value, n) %}slice(concat({{ list }}, array({{ value }})), -least({{ n }}, size({{ list }}) + 1), {{ n }}){% endmacro %}
{% macro duckdb__last_of(list, value, n) %}list_append({{ list }}, {{ value }})[-{{ n }}:]{% endmacro %}

{% macro n_of(list) %}{{ return(adapter.dispatch('n_of', 'rapport')(list)) }}{% endmacro %}
{% macro default__n_of(list) %}size({{ list }}){% endmacro %}
{% macro duckdb__n_of(list) %}len({{ list }}){% endmacro %}

{% macro mean_of(list) %}{{ return(adapter.dispatch('mean_of', 'rapport')(list)) }}{% endmacro %}
{% macro default__mean_of(list) %}aggregate({{ list }}, 0D, (a, x) -> a + x) / size({{ list }}){% endmacro %}
{% macro duckdb__mean_of(list) %}list_sum({{ list }}) / len({{ list }}){% endmacro %}

{% macro is_in_list(value, list) %}{{ return(adapter.dispatch('is_in_list', 'rapport')(value, list)) }}{% endmacro %}
{% macro default__is_in_list(value, list) %}array_contains({{ list }}, {{ value }}){% endmacro %}
{% macro duckdb__is_in_list(value, list) %}list_contains({{ list }}, {{ value }}){% endmacro %}
