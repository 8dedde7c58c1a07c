-- The share that survives to the beginning of a month of tenure, from the hazards of the months before it: the product
-- of (1 - hazard), as a window over `partition`. A month in which everybody left ends it (ln(0) has no value).
{% macro surviving_share(hazard, partition) -%}
    case
        when coalesce(
            max(case when {{ hazard }} >= 1 then 1 else 0 end) over (
                partition by {{ partition }}
                order by month_of_tenure
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) = 1 then 0
        else coalesce(
            exp(
                sum(ln(case when {{ hazard }} < 1 then 1 - {{ hazard }} else 1 end)) over (
                    partition by {{ partition }}
                    order by month_of_tenure
                    rows between unbounded preceding and 1 preceding
                )
            ),
            1
        )
    end
{%- endmacro %}
