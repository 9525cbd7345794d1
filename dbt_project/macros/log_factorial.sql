{#
    The natural logarithm of n!. Spark has no gamma function: up to 15 the logarithms are
    added, beyond that Stirling's series is closer than a double can tell
    (Abramowitz & Stegun 1964, 6.1.41).
#}
{% macro log_factorial(n) %}{{ return(adapter.dispatch('log_factorial', 'rapport')(n)) }}{% endmacro %}
{% macro duckdb__log_factorial(n) %}lgamma({{ n }} + 1){% endmacro %}
{% macro default__log_factorial(n) -%}
    case
        when ({{ n }}) <= 15
            then aggregate(sequence(1, greatest(cast({{ n }} as int), 1)), 0D, (a, i) -> a + ln(i))
        else
            (({{ n }}) + 0.5D) * ln({{ n }}) - ({{ n }}) + 0.5D * ln(2 * pi())
            + 1D / (12 * ({{ n }})) - 1D / (360 * pow({{ n }}, 3)) + 1D / (1260 * pow({{ n }}, 5))
    end
{%- endmacro %}
