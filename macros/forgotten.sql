-- Whether an id or address stands for somebody who was forgotten (ingest/forgotten.py makes these surrogates): rows stay
-- and are counted, nobody is written to.
{% macro is_forgotten(column) -%}
    coalesce({{ matches(column, '^forgotten[0-9a-f]{16}($|@|[.])') }}, false)
{%- endmacro %}
