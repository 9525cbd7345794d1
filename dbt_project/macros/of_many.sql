{# Mean and spread over many rows, kept to nine decimals: an engine adds doubles in any
   order, which moves their last bits. A mean of short decimals may lie halfway between two
   ninth decimals, so it is of exact sums; a spread is not so likely to. #}
{% macro mean_of_many(column) -%}
    round(
        cast(sum(cast({{ column }} as decimal(28, 12))) as double)
        / nullif(count({{ column }}), 0),
        9
    )
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

{# The five indicators by which clinics and groups of clients are told apart. #}
{% macro indicators() -%}
    {% for indicator in [
        'completion_alliance', 'repair', 'weak_early_alliance', 'reliable_improvement', 'dropout'
    ] -%}
    select '{{ indicator }}' as indicator
    {{ 'union all' if not loop.last }}
    {% endfor %}
{%- endmacro %}
