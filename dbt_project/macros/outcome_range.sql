{#
    Ranges of an outcome total (measurement.md A2), by a row of
    int_instrument__parameter. Decimals occur, since totals are prorated.
#}
{% macro is_clinical(score, parameters) -%}
    case
        when {{ parameters }}.higher_is_better
            then {{ lt(score, parameters ~ '.clinical_cut') }}
        else {{ ge(score, parameters ~ '.clinical_cut') }}
    end
{%- endmacro %}

{% macro is_functional(score, parameters) -%}
    case {{ parameters }}.functional_rule
        when 'from' then {{ ge(score, parameters ~ '.functional_cut') }}
        when 'up_to' then {{ le(score, parameters ~ '.functional_cut') }}
        when 'below' then {{ lt(score, parameters ~ '.functional_cut') }}
    end
{%- endmacro %}

{# Points gained for the better from one total to another. #}
{% macro gain_between(first, last, parameters) -%}
    case
        when {{ parameters }}.higher_is_better then {{ last }} - {{ first }}
        else {{ first }} - {{ last }}
    end
{%- endmacro %}
