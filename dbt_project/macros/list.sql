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

{% macro first_of(list) %}{{ return(adapter.dispatch('first_of', 'rapport')(list)) }}{% endmacro %}
{% macro default__first_of(list) %}try_element_at({{ list }}, 1){% endmacro %}
{% macro duckdb__first_of(list) %}{{ list }}[1]{% endmacro %}

{# The values of a group in a stated order: sums over them are the same every night. #}
{% macro ordered_list(value, order_column) %}{{ return(adapter.dispatch('ordered_list', 'rapport')(value, order_column)) }}{% endmacro %}
{% macro default__ordered_list(value, order_column) %}transform(array_sort(collect_list(struct({{ order_column }} as o, {{ value }} as v))), x -> x.v){% endmacro %}
{% macro duckdb__ordered_list(value, order_column) %}list({{ value }} order by {{ order_column }}){% endmacro %}

{# Sum of squares about the mean, in list order. #}
{% macro squares_of(list, mean) %}{{ return(adapter.dispatch('squares_of', 'rapport')(list, mean)) }}{% endmacro %}
{% macro default__squares_of(list, mean) %}aggregate({{ list }}, 0D, (a, x) -> a + (x - {{ mean }}) * (x - {{ mean }})){% endmacro %}
{% macro duckdb__squares_of(list, mean) %}list_sum(list_transform({{ list }}, lambda x: (x - {{ mean }}) * (x - {{ mean }}))){% endmacro %}

{% macro sum_of(list) %}{{ return(adapter.dispatch('sum_of', 'rapport')(list)) }}{% endmacro %}
{% macro default__sum_of(list) %}aggregate({{ list }}, 0D, (a, x) -> a + x){% endmacro %}
{% macro duckdb__sum_of(list) %}list_sum({{ list }}){% endmacro %}
