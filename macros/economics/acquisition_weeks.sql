-- Is an acquisition week (its Monday) old enough that whoever it found has had time to buy?
{% macro is_mature_week(week) -%}
    ({{ dbt.dateadd('day', 7 + (economics_setting('cac_closing_window_days') | int), week) }} <= {{ as_of() }})
{%- endmacro %}


-- One row per whole number from first to last, both included (for a select list).
{% macro numbers(first, last) -%}
    {{ return(adapter.dispatch('numbers')(first, last)) }}
{%- endmacro %}

{% macro default__numbers(first, last) -%}
    unnest(generate_series(cast({{ first }} as bigint), cast({{ last }} as bigint)))
{%- endmacro %}

{% macro spark__numbers(first, last) -%}
    explode(sequence(cast({{ first }} as bigint), cast({{ last }} as bigint)))
{%- endmacro %}
