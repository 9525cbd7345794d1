{# The date that lies some whole days after another. #}
{% macro days_after(day, days) %}{{ return(adapter.dispatch('days_after', 'rapport')(day, days)) }}{% endmacro %}
{% macro default__days_after(day, days) %}date_add({{ day }}, cast({{ days }} as int)){% endmacro %}
{% macro duckdb__days_after(day, days) %}({{ day }} + cast({{ days }} as integer)){% endmacro %}
