-- The first reason not to trust an interval, or 'ok'. `customers` counts those credited, `intervals` is
-- int_channel_intervals__studentised, `mostly_extrapolated` says whether most of the value lies beyond what was observed.
{% macro economics_reliability(customers, intervals, mostly_extrapolated) -%}
    case
        when {{ customers }} = 0 then 'no customers'
        when {{ intervals }}.ltv is null then 'no renewal observed yet'
        when {{ customers }} < {{ economics_setting('reliable_customers') }} then 'few customers'
        when {{ intervals }}.effective_customers < {{ economics_setting('reliable_customers') }} then 'few customers'
        when {{ intervals }}.weeks < {{ economics_setting('reliable_weeks') }} then 'few weeks'
        when coalesce({{ intervals }}.cohort_spend_cents, 0) = 0 then 'no spend'
        when {{ mostly_extrapolated }} then 'mostly extrapolated'
        when {{ intervals }}.ltv_skew > {{ economics_setting('reliable_skew') }} then 'skewed'
        else 'ok'
    end
{%- endmacro %}
