-- Calendar months are the reporting time zone's (UTC unless the company says otherwise); instants stay UTC.

-- The UTC instant at which the reporting month that begins on this date begins.
{% macro month_starts_at(month) -%}
    {{ return(adapter.dispatch('month_starts_at')(month, economics_setting('reporting_timezone'))) }}
{%- endmacro %}

{% macro default__month_starts_at(month, zone) -%}
    {%- if zone == 'UTC' -%}
        cast({{ month }} as timestamp)
    {%- else -%}
        timezone('UTC', timezone('{{ zone }}', cast({{ month }} as timestamp)))
    {%- endif -%}
{%- endmacro %}

{% macro spark__month_starts_at(month, zone) -%}
    to_utc_timestamp(cast({{ month }} as timestamp), '{{ zone }}')
{%- endmacro %}


-- The reporting month (its first day) in which a UTC instant lies.
{% macro reporting_month(instant) -%}
    {{ return(adapter.dispatch('reporting_month')(instant, economics_setting('reporting_timezone'))) }}
{%- endmacro %}

{% macro default__reporting_month(instant, zone) -%}
    {%- if zone == 'UTC' -%}
        cast(date_trunc('month', {{ instant }}) as date)
    {%- else -%}
        cast(date_trunc('month', timezone('{{ zone }}', timezone('UTC', {{ instant }}))) as date)
    {%- endif -%}
{%- endmacro %}

{% macro spark__reporting_month(instant, zone) -%}
    cast(date_trunc('month', from_utc_timestamp({{ instant }}, '{{ zone }}')) as date)
{%- endmacro %}
