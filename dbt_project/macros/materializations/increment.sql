{# Whether tonight only the touched clients are computed: asked of dbt, which alone knows. #}
{% macro is_increment() %}{{ return(var('is_increment', false)) }}{% endmacro %}

{# Takes the rows of touched clients out of a published table, before theirs of tonight. #}
{% macro delete_touched(relation) -%}
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
