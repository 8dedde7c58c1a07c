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
