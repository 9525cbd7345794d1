{# Mean and spread over many rows: an engine adds them in any order, which moves the last
   bits of a double, so both are kept to nine decimals. #}
{% macro mean_of_many(column) -%}
    round(avg(cast({{ column }} as double)), 9)
{%- endmacro %}

{% macro sd_of_many(column) -%}
    round(stddev_samp(cast({{ column }} as double)), 9)
{%- endmacro %}

{# A count as the interface publishes it. #}
{% macro counted(condition=none) -%}
    cast(count(*){% if condition %} filter (where {{ condition }}){% endif %} as integer)
{%- endmacro %}

{# A share: null, never 0, when nothing is counted. #}
{% macro share_of(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif({{ denominator }}, 0)
{%- endmacro %}

{# The rows of a CTE once for their clinic and once for the whole service. #}
{% macro at_clinic_and_all(cte) -%}
    select
        facts.*,
        facts.own_clinic as clinic_key
    from {{ cte }} as facts
    union all
    select
        facts.*,
        'all' as clinic_key
    from {{ cte }} as facts
{%- endmacro %}
