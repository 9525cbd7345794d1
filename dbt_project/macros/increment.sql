{#
    What a night recomputes (ADR 0007). Every model states `meta.computed`: `per_client`
    (each row is one client's alone), `reference` (small, read whole) or `aggregate` (over
    clients, from published tables). On a full build they all read everything. On an
    increment the models that read bronze keep to the touched clients; what is computed
    from them is theirs alone, and takes the place of their rows in the published tables.
#}
{# Narrows rows of bronze to touched clients; a tombstone may name no client at all. #}
{% macro where_touched(column, of='client') -%}
    {%- if is_increment() -%}
    where
        {{ column }} in (
            select {{ of }}_key from {{ source('control', 'touched_' ~ of) }}
        )
        {% if of == 'client' %}or {{ column }} is null{% endif %}
    {%- endif -%}
{%- endmacro %}

{# Rows of two tables with the same columns that only one of them has. #}
{% macro rows_apart(one, other) -%}
    (select * from {{ one }} except select * from {{ other }})
    union all
    (select * from {{ other }} except select * from {{ one }})
{%- endmacro %}

{#
    Narrows rows to the months that a monthly table counts anew (ADR 0070); the others stand
    as they were published. dbt learns of the table when it parses, whatever tonight is.
#}
{% macro where_moved(mart, month, word='where') -%}
    {%- set moved = ref('int_qi__moved_month') if not execute or is_increment() -%}
    {%- if is_increment() -%}
    {{ word }} {{ month }} in (select month from {{ moved }} where mart = '{{ mart }}')
    {%- endif -%}
{%- endmacro %}
