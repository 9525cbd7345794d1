{# A key made below the door: SHA-256 over parts that are already keyed (privacy.md A2). #}
{% macro keyed_hash(prefix, parts) -%}
    '{{ prefix }}' || substr({{ sha256_hex("concat_ws('|', " ~ parts | join(', ') ~ ")") }}, 1, 26)
{%- endmacro %}

{% macro sha256_hex(text) %}{{ return(adapter.dispatch('sha256_hex', 'rapport')(text)) }}{% endmacro %}
{% macro default__sha256_hex(text) %}sha2({{ text }}, 256){% endmacro %}
{% macro duckdb__sha256_hex(text) %}sha256({{ text }}){% endmacro %}
