{# Settings and the as-of date come as tables, never as literals (privacy.md B1). #}
{% macro setting(name) -%}
    (select number from {{ source('control', 'setting') }} where name = '{{ name }}')
{%- endmacro %}

{% macro setting_text(name) -%}
    (select text from {{ source('control', 'setting') }} where name = '{{ name }}')
{%- endmacro %}

{% macro as_of() -%}
    (select as_of from {{ source('control', 'run') }})
{%- endmacro %}
