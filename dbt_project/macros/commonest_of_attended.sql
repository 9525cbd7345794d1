{# The values of a column of `attended`, per episode: commonest first, a tie by first met. #}
{% macro commonest_of_attended(column) -%}
select
        episode_key,
        {{ column }},
        row_number() over (
            partition by episode_key
            order by count(*) desc, min(session_number)
        ) as choice
    from attended
    where {{ column }} is not null
    group by episode_key, {{ column }}
{%- endmacro %}
