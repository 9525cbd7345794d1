{#
    The band of a client's total (measurement.md C): set on the 1-5 mean, taken to the
    instrument's own scale (3 is 4 on the WAI-S); the SRS has its own (PCOMS practice).
#}
{% macro alliance_band(score, instrument, parameters) -%}
    case
            when {{ score }} is null then null
            when {{ instrument }} = 'SRS'
                then case
                    when {{ le(score, 34) }} then 'weak'
                    when {{ lt(score, 39) }} then 'moderate'
                    else 'strong'
                end
            when {{ lt(score, band_level('alliance.band_weak_below', parameters)) }}
                then 'weak'
            when {{ lt(score, band_level('alliance.band_strong_from', parameters)) }}
                then 'moderate'
            else 'strong'
        end
{%- endmacro %}

{# A level of the 1-5 mean on an instrument's own scale. #}
{% macro band_level(name, parameters) -%}
    ({{ parameters }}.scale_min + ({{ setting(name) }} - 1) * {{ parameters }}.unit)
{%- endmacro %}
