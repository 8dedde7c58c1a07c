-- Tables and views are replaced inside one transaction: drop, create, describe, commit. dbt-duckdb's own way builds under
-- another name, renames twice and drops the old one after the commit, so that readers of the database are never without
-- it. Here nobody reads the warehouse while it is built (DuckDB locks it, people read what is published), a transaction
-- that fails leaves the old relation as it was, and three statements and a commit less in every model make the build
-- a tenth shorter. What the YAML says of it goes with it in the same statement. Not for models with indexes, grants,
-- foreign keys or Python: none has any, and hooks work as always.

{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
    {{ return(built_in_place('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb', supported_languages=['sql'] %}
    {{ return(built_in_place('view')) }}
{% endmaterialization %}

{% macro built_in_place(type) %}
    {%- set target_relation = this.incorporate(type=type) -%}
    {%- set existing_relation = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('main') -%}
        {%- if existing_relation is not none %}
            drop {{ existing_relation.type }} if exists {{ existing_relation }};
        {%- endif %}
        {%- if type == 'table' %}
            {{ create_table_as(False, target_relation, sql) }}
        {%- else %}
            {{ get_create_view_as_sql(target_relation, sql) }}
        {%- endif %};
        {%- if config.persist_relation_docs() and model.description %}
            {{ alter_relation_comment(target_relation, model.description) }}
        {%- endif %}
        {%- if config.persist_column_docs() and model.columns %}
            {{ alter_column_comment(target_relation, model.columns) }}
        {%- endif %}
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmacro %}


-- The comments of a table's columns. dbt-duckdb asks first which columns there are; what is described here has an
-- enforced contract, so every described column is there.
{% macro duckdb__alter_column_comment(relation, column_dict) %}
    {%- for name, column in column_dict.items() %}
        comment on column {{ relation }}.{{ adapter.quote(name) if column['quote'] else name }}
        is {{ duckdb_escape_comment(column['description']) }};
    {%- endfor %}
{% endmacro %}


-- Whether a query gives the columns that its contract promises. dbt asks the engine twice, for the query and for the
-- contract, and dispatches a macro for every column; here one question is enough to see that names and types are the
-- same text. What is not goes to dbt's own check, which decides, and says what differs.
{% macro duckdb__get_assert_columns_equivalent(sql) %}
    {%- set promised = {} -%}
    {%- for column in model['columns'].values() -%}
        {%- do promised.update({column['name']: (column['data_type'] or '') | upper | replace(' ', '')}) -%}
    {%- endfor -%}
    {%- set given = {} -%}
    {%- for column in get_column_schema_from_query(sql, config.get('sql_header', none)) -%}
        {%- do given.update({column.name: column.dtype | upper | replace(' ', '')}) -%}
    {%- endfor -%}
    {%- if not promised or given != promised -%}
        {{ return(assert_columns_equivalent(sql)) }}
    {%- endif -%}
{% endmacro %}


-- A data test is one query, so it needs no transaction of its own around it, to be opened and rolled back again.
{% materialization test, adapter='duckdb' %}
    {%- if should_store_failures() -%}
        {{ return(materialization_test_default()) }}
    {%- endif -%}
    {%- set failures = get_limit_subquery_sql(sql, config.get('limit')) -%}
    {%- set query = get_test_sql(
        failures, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), limit=none
    ) -%}
    {%- set response, table = adapter.execute(query, auto_begin=False, fetch=True) -%}
    {%- do store_result('main', response=response, agate_table=table) -%}
    {{ return({'relations': []}) }}
{% endmaterialization %}
