-- A share lost over so many days as the share lost over another number of days, if it goes on like this:
-- 1 - (1 - c)^(horizon / days). 5 % in 30 days are 5.07 % a month of 365/12 days and 46.42 % a year.
{% macro over_horizon(share, days, horizon_days) -%}
    (1 - power(1 - {{ share }}, cast({{ horizon_days }} as double) / {{ days }}))
{%- endmacro %}
