-- Laws of a model, each an expression with a name: all of them hold for every row. A failing row says which ones it
-- breaks. Null counts as broken, because a law that cannot be checked does not hold.
{% test holds(model, expressions) %}

with

judged as (

    select
        concat_ws(
            ', '
            {% for name, expression in expressions.items() %},
            case when ({{ expression }}) is not true then '{{ name }}' end
            {% endfor %}
        ) as broken,
        *
    from {{ model }}

)

select *
from judged
where broken != ''

{% endtest %}
