{#
    Lays the sources for Spark. `inputs` is a file that names the Parquet files of each table
    of `control` and `bronze`, with its columns
    (`python -m rapport.warehouse.spark_inputs` writes it). Tables are external: files stay
    where they are, and only those that the ledger names are read.

        dbt run-operation bind_sources --target spark --args '{inputs: /path/inputs.json}'
#}
{% macro bind_sources(inputs) %}
    {%- set said = run_query('select value from text.`' ~ inputs ~ '`').rows[0][0] -%}
    {%- for schema, tables in fromjson(said).items() -%}
        {%- do run_query('create schema if not exists ' ~ schema) -%}
        {%- for table in tables -%}
            {%- do bind_table(schema ~ '.' ~ table.name, table.columns, table.paths) -%}
        {%- endfor -%}
    {%- endfor -%}
{% endmacro %}

{# A view of one external table a path; of an empty one, when there is no file yet. #}
{% macro bind_table(name, columns, paths) %}
    {%- set parts = [] -%}
    {%- for path in paths or [none] -%}
        {%- set part = name ~ '__' ~ loop.index -%}
        {%- do run_query('drop table if exists ' ~ part) -%}
        {%- do run_query(external_table(part, columns, path)) -%}
        {%- do parts.append('select * from ' ~ part) -%}
    {%- endfor -%}
    {%- do run_query('create or replace view ' ~ name ~ ' as ' ~ parts | join(' union all ')) -%}
{% endmacro %}

{% macro external_table(name, columns, path) -%}
    create table {{ name }} (
        {%- for column, type in columns -%}
        {{ column }} {{ spark_type(type) }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ) using parquet {{ "options (path '" ~ path ~ "')" if path }}
{%- endmacro %}
