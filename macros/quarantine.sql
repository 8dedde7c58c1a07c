-- What becomes of a judged row of a base model, by its columns copy_rank and reject_reason. An older copy is told apart
-- first: what is wrong with it was mended or will be found in the copy that is believed. Rows without their key are no
-- copies of each other.
{% macro row_verdict(key) -%}
    case
        when {{ key }} is not null and copy_rank > 1 then 'deduplicated'
        when reject_reason is not null then 'quarantined'
        else 'staged'
    end
{%- endmacro %}


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
