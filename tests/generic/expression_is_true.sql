-- The expression holds for every row; null counts as a failure, because a law that cannot be checked does not hold.
{% test expression_is_true(model, expression, where='true') %}

select *
from {{ model }}
where ({{ where }}) and ({{ expression }}) is not true

{% endtest %}
