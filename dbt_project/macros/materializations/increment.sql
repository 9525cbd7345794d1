{# Whether tonight only the touched clients are computed: asked of dbt, which alone knows. #}
{% macro is_increment() %}{{ return(var('is_increment', false)) }}{% endmacro %}

{# Takes the rows of touched clients, or of moved months, out of a published table, before
   those of tonight. #}
{% macro delete_touched(relation) -%}
    {%- if model.config.meta.get('replaced_by') == 'month' %}
        delete from {{ relation }}
        where month in (
            select month from {{ ref('int_qi__moved_month') }} where mart = '{{ relation.identifier }}'
        );
    {%- endif -%}
    {%- for column, keys in {
        'client_key': ['client'],
        'episode_key': ['episode'],
        'holder_key': ['client', 'administration'],
    }.items() if column == model.config.meta.get('replaced_by') -%}
        {%- for of in keys %}
        delete from {{ relation }}
        where {{ column }} in (
            select {{ of }}_key from {{ source('control', 'touched_' ~ of) }}
        );
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}
