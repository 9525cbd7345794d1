{# Types in the project's yml are DuckDB's; Spark has no text without a length but this. #}
{% macro spark_type(type) -%}
    {{ 'string' if type | lower == 'varchar' else type }}
{%- endmacro %}

{#
    Spark's part of what dbt-spark does not do itself: the contract of a table (ADR 0008
    asks the same of DuckDB) and seeds, whose empty cells its session would load as text.
#}
{% macro spark__get_assert_columns_equivalent(sql) -%}
    {%- set promised = [] -%}
    {%- for column in model['columns'].values() -%}
        {%- do promised.append(column['name'] ~ ' ' ~ spark_type(column['data_type']) | lower) -%}
    {%- endfor -%}
    {%- set given = [] -%}
    {%- for row in run_query('describe query ' ~ sql).rows -%}
        {%- do given.append(row[0] ~ ' ' ~ row[1] | lower) -%}
    {%- endfor -%}
    {%- set promised = promised | map('replace', ' integer', ' int') | sort -%}
    {%- if promised != given | sort -%}
        {{ exceptions.raise_compiler_error(
            'the contract of ' ~ model.name ~ ' is broken; only promised: '
            ~ promised | reject('in', given) | join(', ')
            ~ '; only given: ' ~ given | reject('in', promised) | join(', ')
        ) }}
    {%- endif -%}
{%- endmacro %}

{# Columns by their names, in the order of the contract. #}
{% macro spark__get_select_subquery(sql) -%}
    select
        {%- for column in model['columns'] %}
        {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ sql }}
    ) as contracted
{%- endmacro %}

{% macro spark__create_csv_table(model, agate_table) -%}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- call statement('_') -%}
        create table {{ this.render() }} (
            {%- for name in agate_table.column_names -%}
            `{{ name }}` {{ spark_type(types.get(name, adapter.convert_type(agate_table, loop.index0))) }}
            {{- ', ' if not loop.last }}
            {%- endfor -%}
        )
    {%- endcall -%}
{%- endmacro %}

{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set sql -%}
        insert into {{ this.render() }}
        select
            {%- for name in agate_table.column_names %}
            cast(`{{ name }}` as {{ spark_type(types.get(name, adapter.convert_type(agate_table, loop.index0))) }})
            {{- ',' if not loop.last }}
            {%- endfor %}
        from values
        {%- for row in agate_table.rows %}
            ({% for cell in row -%}
            {{ quoted_cell(cell) }}{{ ', ' if not loop.last }}
            {%- endfor %}){{ ',' if not loop.last }}
        {%- endfor %}
            as cells (`{{ agate_table.column_names | join('`, `') }}`)
    {%- endset -%}
    {%- do run_query(sql) -%}
    {{ return(sql) }}
{%- endmacro %}

{% macro quoted_cell(cell) -%}
    {%- if cell is none -%}
        null
    {%- else -%}
        '{{ cell | string | replace('\\', '\\\\') | replace("'", "\\'") }}'
    {%- endif -%}
{%- endmacro %}
