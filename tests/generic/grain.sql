-- What one row is: no two rows agree on all columns of `by`, and none of these is null unless `nullable` names it (two
-- nulls agree). `never_null` names further columns that every row has; `also_unique` names further keys, each a list
-- of columns. One failing row per broken promise, with how many rows break it. One query per model, and what an
-- enforced contract already guarantees is not tested again: see never_null.
{% test grain(model, by, nullable=[], never_null=[], also_unique=[]) %}
{%- set present = by | reject('in', nullable) | list + never_null %}

with

keys as (

    select
        {{ by | join(',\n        ') }},
        {% for column in present %}
        count(*) filter (where {{ column }} is null) as nulls_{{ loop.index }},
        {% endfor %}
        count(*) as key_rows
    from {{ model }}
    group by {{ by | join(', ') }}

)

select
    'several rows with one {{ by | join(", ") }}' as problem,
    sum(key_rows) as row_count
from keys
where key_rows > 1
having count(*) > 0
{% for column in present %}
union all
select
    '{{ column }} is null' as problem,
    sum(nulls_{{ loop.index }}) as row_count
from keys
where nulls_{{ loop.index }} > 0
having count(*) > 0
{% endfor %}
{% for key in also_unique %}
union all
select
    'several rows with one {{ key | join(", ") }}' as problem,
    sum(key_rows) as row_count
from (select count(*) as key_rows from {{ model }} group by {{ key | join(', ') }})
where key_rows > 1
having count(*) > 0
{% endfor %}

{% endtest %}
