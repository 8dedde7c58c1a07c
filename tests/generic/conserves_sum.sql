-- The sum of an expression over this model equals the sum of an expression over another, within a tolerance (default:
-- to the last digit). Optional filters on both sides.
{% test conserves_sum(model, expression, other, other_expression, where='true', other_where='true', tolerance=0) %}

with

sums as (

    select
        (select coalesce(sum({{ expression }}), 0) from {{ model }} where {{ where }}) as this_sum,
        (select coalesce(sum({{ other_expression }}), 0) from {{ other }} where {{ other_where }}) as other_sum

)

select
    this_sum,
    other_sum,
    this_sum - other_sum as difference
from sums
where abs(this_sum - other_sum) > {{ tolerance }}

{% endtest %}
