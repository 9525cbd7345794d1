{# Texts of a group joined with `;` in a stated order. #}
{% macro joined_in_order(column, order_column) %}{{ return(adapter.dispatch('joined_in_order', 'rapport')(column, order_column)) }}{% endmacro %}
{% macro default__joined_in_order(column, order_column) %}concat_ws(';', transform(array_sort(collect_list(struct({{ order_column }} as o, {{ column }} as v))), x -> x.v)){% endmacro %}
{% macro duckdb__joined_in_order(column, order_column) %}string_agg({{ column }}, ';' order by {{ order_column }}){% endmacro %}
