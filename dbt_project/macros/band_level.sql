{# A band's level, set on the 1-5 mean, on an instrument's own scale: 3 is 4 on the WAI-S. #}
{% macro band_level(name, parameters) -%}
    (1 + ({{ setting(name) }} - 1) * {{ parameters }}.unit)
{%- endmacro %}
