-- The timestamp (UTC, naive) at a JSON path that holds unix seconds; null where there is none.
{% macro json_unix_time(column, path) -%}
    {{ unix_to_timestamp("try_cast(" ~ json_text(column, path) ~ " as bigint)") }}
{%- endmacro %}
