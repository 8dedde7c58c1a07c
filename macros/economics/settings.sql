-- The choices that a company may change without touching a model, with the value each has unless dbt_project.yml or
-- --vars says otherwise. What each one decides is written in docs/DECISIONS.md.
{% macro economics_setting(name) -%}
    {%- set defaults = {
        'reporting_timezone': 'UTC',
        'fx_version': '1',
        'past_due_grace_days': 30,
        'lifetime_cap_months': 60,
        'largest_believable_minor_amount': 10000000000,
        'largest_believable_quantity': 1000000,
        'ltv_horizon_months': 24,
        'ltv_annual_discount_rate': 0.10,
        'ltv_min_at_risk': 3,
        'ltv_tail_months': 6,
        'ltv_lifetime_months': 60,
        'ltv_pseudo_customers': 10,
        'bootstrap_seed': 1,
        'bootstrap_replicates': 1000,
        'bootstrap_buckets': 64,
        'cac_closing_window_days': 60,
        'reliable_customers': 30,
        'reliable_weeks': 26,
        'reliable_skew': 0.3,
    } -%}
    {%- if name not in defaults -%}
        {{ exceptions.raise_compiler_error(
            "economics_setting knows " ~ defaults.keys() | list ~ ", got '" ~ name ~ "'."
        ) }}
    {%- endif -%}
    {#- a linter renders without variables; what is neither text nor a number is its stand-in -#}
    {%- set value = var(name, defaults[name]) -%}
    {{ return(value if value is string or value is number else defaults[name]) }}
{%- endmacro %}


-- Above this an amount in minor units is a mistake of the source, not money.
{% macro largest_believable_minor_amount() -%}
    {{ economics_setting('largest_believable_minor_amount') }}
{%- endmacro %}
