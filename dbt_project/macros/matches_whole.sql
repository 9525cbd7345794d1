{# That a text matches a regular expression from its first character to its last. #}
{% macro matches_whole(text, pattern) %}{{ return(adapter.dispatch('matches_whole', 'rapport')(text, pattern)) }}{% endmacro %}
{% macro default__matches_whole(text, pattern) %}({{ text }} rlike '^(' || {{ pattern }} || ')$'){% endmacro %}
{% macro duckdb__matches_whole(text, pattern) %}regexp_full_match({{ text }}, {{ pattern }}){% endmacro %}
