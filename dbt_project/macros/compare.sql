{# Comparisons of decimals: a value at a threshold has reached it (measurement.md, EPS). #}
{% macro eps() %}1e-6{% endmacro %}
{% macro ge(a, b) %}({{ a }} >= {{ b }} - {{ eps() }}){% endmacro %}
{% macro le(a, b) %}({{ a }} <= {{ b }} + {{ eps() }}){% endmacro %}
{% macro lt(a, b) %}({{ a }} < {{ b }} - {{ eps() }}){% endmacro %}
{% macro gt(a, b) %}({{ a }} > {{ b }} + {{ eps() }}){% endmacro %}
