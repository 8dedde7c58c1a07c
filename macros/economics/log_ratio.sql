-- Estimates that are ratios of sums over acquisition weeks, on the logarithmic scale.
--
-- A week pulls the logarithm of a product of totals by the sum of its terms: (its part of a total) / (the total), minus
-- for a total below the line. The squared error is the sum of squared pulls. So that a thousand replicates need no
-- second pass over the weeks, the square is written out over sums of products.


-- The sums a replicate needs, for a list of parts: each, and each product of two. (For a select list.)
{% macro part_sums(parts, relation, weight) %}
    {%- for part in parts %}
    sum({{ weight }} * {{ relation }}.{{ part }}) as {{ part }},
    {%- for other in parts[loop.index0:] %}
    sum({{ weight }} * {{ relation }}.{{ part }} * {{ relation }}.{{ other }}) as {{ part }}_x_{{ other }},
    {%- endfor %}
    {%- endfor %}
{% endmacro %}


-- The sum of squared pulls, from those sums; `factors` maps each part to what a week's part is multiplied with.
{% macro squared_pulls(factors) -%}
    {%- set parts = factors.keys() | list -%}
    {%- for part in parts -%}
        {%- for other in parts[loop.index0:] -%}
            {{ '' if loop.first else '2 * ' }}{{ factors[part] }} * {{ factors[other] }} * {{ part }}_x_{{ other }}
            {{- ' + ' if not loop.last }}
        {%- endfor -%}
        {{ ' + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
