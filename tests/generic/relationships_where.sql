-- Every value (of the rows that match `where`) exists in the other model's field (among the rows that match
-- `to_where`).
{% test relationships_where(model, column_name, to, field, where='true', to_where='true') %}

select child.{{ column_name }}
from (select {{ column_name }} from {{ model }} where ({{ where }}) and {{ column_name }} is not null) as child
left join (select distinct {{ field }} as parent_key from {{ to }} where {{ to_where }}) as parent
    on child.{{ column_name }} = parent.parent_key
where parent.parent_key is null

{% endtest %}
