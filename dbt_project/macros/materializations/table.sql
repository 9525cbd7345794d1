{#
    Tables and views on DuckDB, in one statement each. The adapter's own build them beside
    the old one, rename twice and look the catalog up after each step, so that a reader
    never misses them; nobody reads the working database, and a build that does not end
    well is thrown away whole. That dance was most of what a small night cost.
#}
{% materialization table, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {{ table_from(target_relation, compiled_code) }}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        create or replace view {{ target_relation }} as (
            {{ compiled_code }}
        );
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#
    A table with its contract and its comments; on an increment tonight's rows in the place
    of those of the touched clients, but in the first wave of a build of all (ADR 68), which
    lays the tables that the later ones add to.
#}
{% macro table_from(relation, sql) -%}
    {%- set is_contracted = config.get('contract').enforced -%}
    {%- if is_contracted -%}
        {%- do assert_contract(sql) -%}
    {%- endif -%}
    {%- if is_increment() and not var('lays_tables', false) and model.config.meta.get('replaced_by') -%}
        {{ delete_touched(relation) }}
        insert into {{ relation }} by name (
            {{ sql }}
        );
    {%- elif is_contracted -%}
        create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} by name (
            {{ sql }}
        );
        {{ comments_on(relation) }}
    {%- else -%}
        create or replace table {{ relation }} as (
            {{ sql }}
        );
    {%- endif -%}
{%- endmacro %}

{#
    What a contract promises, asked of the engine in one question. Only a model that breaks
    it goes on to dbt's own check, which costs more and says what is wrong.
#}
{% macro assert_contract(sql) %}
    {%- set promised = [] -%}
    {%- for column in model['columns'].values() -%}
        {%- do promised.append(column['name'] ~ ' ' ~ (column['data_type'] | lower)) -%}
    {%- endfor -%}
    {%- set given = [] -%}
    {%- for row in run_query('describe (' ~ sql ~ ')').rows -%}
        {%- do given.append(row[0] ~ ' ' ~ (row[1] | lower)) -%}
    {%- endfor -%}
    {%- if promised | sort != given | sort -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
{% endmacro %}

{% macro comments_on(relation) -%}
    {%- if config.persist_relation_docs() and model.description %}
    comment on table {{ relation }} is {{ duckdb_escape_comment(model.description) }};
    {%- endif -%}
    {%- if config.persist_column_docs() -%}
    {%- for column in model['columns'].values() if column['description'] %}
    comment on column {{ relation }}.{{ adapter.quote(column['name']) }}
        is {{ duckdb_escape_comment(column['description']) }};
    {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
