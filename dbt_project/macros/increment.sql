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
