-- How a source record is written as a node of the identity graph: system:type:id.
{% macro record_key(source_system, source_record_type, column) -%}
    '{{ source_system }}:{{ source_record_type }}:' || {{ column }}
{%- endmacro %}


-- How an identifier is written as a node: type=value. No record key contains '=' before its first ':'.
{% macro identifier_key(identifier_type, column) -%}
    '{{ identifier_type }}=' || {{ column }}
{%- endmacro %}
