{#
    A small JSON object from members [name, kind, expression]: kind `text` is a code in
    quotes, `whole` a whole number, `ratio` a decimal with three places. A null member is
    left out. Written by hand, so that both engines give the same bytes.
#}
{% macro json_object(members) -%}
    concat('{', concat_ws(
        ',',
        {% for name, kind, expression in members -%}
        {{ json_member(name, kind, expression) }}{{ ',' if not loop.last }}
        {% endfor -%}
    ), '}')
{%- endmacro %}

{% macro json_member(name, kind, expression) -%}
    '"{{ name }}":' || {% if kind == 'text' -%}
        '"' || {{ expression }} || '"'
    {%- elif kind == 'whole' -%}
        cast(cast({{ expression }} as integer) as string)
    {%- else -%}
        cast(cast(round({{ expression }}, 3) as decimal(18, 3)) as string)
    {%- endif %}
{%- endmacro %}
