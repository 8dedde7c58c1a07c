-- A naive UTC instant on the clock of an IANA zone, and back. An hour that a change of clocks skips or repeats is read
-- as the engine reads it; nothing here needs it exact.
{% macro local_time(instant, zone) -%}
    {{ return(adapter.dispatch('local_time')(instant, zone)) }}
{%- endmacro %}

{% macro default__local_time(instant, zone) -%}
    timezone({{ zone }}, timezone('UTC', {{ instant }}))
{%- endmacro %}

{% macro spark__local_time(instant, zone) -%}
    from_utc_timestamp({{ instant }}, {{ zone }})
{%- endmacro %}


{% macro utc_time(local, zone) -%}
    {{ return(adapter.dispatch('utc_time')(local, zone)) }}
{%- endmacro %}

{% macro default__utc_time(local, zone) -%}
    timezone('UTC', timezone({{ zone }}, {{ local }}))
{%- endmacro %}

{% macro spark__utc_time(local, zone) -%}
    to_utc_timestamp({{ local }}, {{ zone }})
{%- endmacro %}
