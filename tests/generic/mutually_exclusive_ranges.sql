-- Within a partition, half-open ranges [lower_bound, upper_bound) never overlap; a null upper bound means "still
-- valid". gaps: 'allowed' (default) or 'not_allowed' (each range starts where the one before ended).
{% test mutually_exclusive_ranges(model, lower_bound, upper_bound, partition_by, gaps='allowed') %}
{%- if gaps not in ('allowed', 'not_allowed') -%}
    {{ exceptions.raise_compiler_error(
        "mutually_exclusive_ranges takes gaps 'allowed' or 'not_allowed', got '" ~ gaps ~ "'."
    ) }}
{%- endif %}

with

ranges as (

    select
        {{ partition_by }},
        {{ lower_bound }} as lower_bound,
        {{ upper_bound }} as upper_bound,
        lead({{ lower_bound }}) over (
            partition by {{ partition_by }}
            order by {{ lower_bound }}, {{ upper_bound }} nulls last
        ) as next_lower_bound
    from {{ model }}

)

select *
from ranges
where
    lower_bound is null
    or upper_bound <= lower_bound
    or (next_lower_bound is not null and upper_bound is null)
    or next_lower_bound {{ '<' if gaps == 'allowed' else '!=' }} upper_bound

{% endtest %}
