-- The model holds at least so many rows: an empty answer from a source looks like success until somebody counts.
{% test row_count_at_least(model, minimum, where='true') %}

select count(*) as row_count
from {{ model }}
where {{ where }}
having count(*) < {{ minimum }}

{% endtest %}
