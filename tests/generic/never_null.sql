-- None of the columns is ever null; one failing row per column that is, with how often. One query per model, because a
-- data test costs far more in dbt than in the engine.
--
-- Where a contract is enforced, a not_null or primary_key constraint needs no data test: DuckDB enforces both while the
-- model is built, so the build itself fails.
{% test never_null(model, columns) %}

with

counted as (

    select
        {% for column in columns %}
        count(*) filter (where {{ column }} is null) as nulls_{{ loop.index }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ model }}

)

{% for column in columns %}
select
    '{{ column }}' as column_name,
    nulls_{{ loop.index }} as null_rows
from counted
where nulls_{{ loop.index }} > 0
{{ 'union all' if not loop.last }}
{% endfor %}

{% endtest %}
