-- Schemas carry the names written in dbt_project.yml (staging, marts, ...), without the target's name in front:
-- readers of the warehouse see the same names in every environment, because an environment is a warehouse file of its
-- own.
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
