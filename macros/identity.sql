-- How a source record is written as a node of the identity graph: system:type:id.
{% macro record_key(source_system, source_record_type, column) -%}
    '{{ source_system }}:{{ source_record_type }}:' || {{ column }}
{%- endmacro %}


-- How an identifier is written as a node: type=value. No record key contains '=' before its first ':'.
{% macro identifier_key(identifier_type, column) -%}
    '{{ identifier_type }}=' || {{ column }}
{%- endmacro %}


-- The id that a customer (or a person) has when this record names it.
{% macro customer_id_of(record_key) -%}
    'c_' || substr(md5({{ record_key }}), 1, 16)
{%- endmacro %}

{% macro person_id_of(record_key) -%}
    'p_' || substr(md5({{ record_key }}), 1, 16)
{%- endmacro %}


-- What people decided of the nodes: identifiers of these types that became others, and members of the CTE `records` that
-- are one, whatever the evidence says. (A query: node_a, node_b, link_method, linked_at.)
{% macro decided_links(identifier_types) -%}
    select
        identifier_type || '=' || old_value as node_a,
        identifier_type || '=' || new_value as node_b,
        'alias' as link_method,
        effective_at as linked_at
    from {{ ref('identity_aliases') }}
    where identifier_type in ({{ quoted_list(identifier_types) }}) and effective_at <= {{ as_of() }}
    union all
    select
        overrides.record_a as node_a,
        overrides.record_b as node_b,
        'override' as link_method,
        cast(overrides.decided_on as timestamp) as linked_at
    from {{ ref('identity_overrides') }} as overrides
    inner join records as records_a on overrides.record_a = records_a.record_key
    inner join records as records_b on overrides.record_b = records_b.record_key
    where overrides.verdict = 'together'
{%- endmacro %}
