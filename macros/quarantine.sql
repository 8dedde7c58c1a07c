-- The rejected rows of one base model in the common shape of all quarantine views; union all one call per raw table.
{% macro quarantined_rows(source_name, table_name, base, record_key) -%}
    select
        '{{ source_name }}' as source,
        '{{ table_name }}' as table_name,
        cast(rejected.{{ record_key }} as {{ dbt.type_string() }}) as record_key,
        rejected.reject_reason as reason,
        {{ row_as_json('rejected') }} as payload
    from {{ base }} as rejected
    where rejected.row_verdict = 'quarantined'
{%- endmacro %}


-- A whole row as JSON text.
{% macro row_as_json(alias) -%}
    {{ return(adapter.dispatch('row_as_json')(alias)) }}
{%- endmacro %}

{% macro default__row_as_json(alias) -%}
    cast(to_json({{ alias }}) as varchar)
{%- endmacro %}

{% macro spark__row_as_json(alias) -%}
    to_json(struct({{ alias }}.*))
{%- endmacro %}


-- An amount as decimal(18, 2), or null when it is not a number that money can be (try_cast, never an error).
{% macro decimal_amount(column) -%}
    try_cast({{ column }} as decimal(18, 2))
{%- endmacro %}
