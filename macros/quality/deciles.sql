-- The n-th decile of an expression, interpolated. An aggregate.
{% macro decile_of(expression, position) -%}
    {{ return(adapter.dispatch('decile_of')(expression, position)) }}
{%- endmacro %}

{% macro default__decile_of(expression, position) -%}
    quantile_cont({{ expression }}, {{ position / 10 }})
{%- endmacro %}

{% macro spark__decile_of(expression, position) -%}
    percentile({{ expression }}, {{ position / 10 }})
{%- endmacro %}
