-- What the kinds of evidence (macros/signals/kinds) have in common.

{# what every kind gives of a candidate, before its outcome and its proof; `signal` and `event` are aliases #}
{% macro candidate_columns(signal, event, occurred_at, received_at) -%}
    {{ signal }}.signal_number,
    {{ event }}.customer_number,
    {{ event }}.user_key,
    {{ event }}.user_id,
    {{ occurred_at }} as occurred_at,
    greatest({{ occurred_at }}, {{ received_at }}) as knowable_at
{%- endmacro %}

{# do two aliases name events of the same customer or user for the same signal? #}
{% macro same_track(left, right) -%}
    {{ left }}.signal_number = {{ right }}.signal_number
    and {{ left }}.customer_number = {{ right }}.customer_number
    and {{ left }}.user_key = {{ right }}.user_key
{%- endmacro %}

{# the same instant of the same customer's use? #}
{% macro same_use(left, right) -%}
    {{ left }}.customer_number = {{ right }}.customer_number
    and {{ left }}.occurred_at = {{ right }}.occurred_at
{%- endmacro %}
