{# Settings and the as-of date come as tables, never as literals (privacy.md B1). #}
{% macro setting(name) -%}
    (select number from {{ source('control', 'setting') }} where name = '{{ name }}')
{%- endmacro %}

{% macro setting_text(name) -%}
    (select text from {{ source('control', 'setting') }} where name = '{{ name }}')
{%- endmacro %}

{# The place of a value in a setting that is a list, from 1 on; 0 when it is not there. #}
{% macro place_in_setting(value, name) -%}
    position(',' || cast({{ value }} as string) || ',' in ',' || {{ setting_text(name) }} || ',')
{%- endmacro %}

{% macro as_of() -%}
    (select as_of from {{ source('control', 'run') }})
{%- endmacro %}
