-- The column lies within [min_value, max_value]; null passes (say never_null where it must not be null).
{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- if min_value is none and max_value is none -%}
    {{ exceptions.raise_compiler_error(
        'accepted_range needs min_value, max_value or both, on ' ~ model ~ '.' ~ column_name ~ '.'
    ) }}
{%- endif %}
{%- set outside = [] %}
{%- if min_value is not none %}
    {%- do outside.append(column_name ~ (' < ' if inclusive else ' <= ') ~ min_value) %}
{%- endif %}
{%- if max_value is not none %}
    {%- do outside.append(column_name ~ (' > ' if inclusive else ' >= ') ~ max_value) %}
{%- endif %}

select {{ column_name }}
from {{ model }}
where {{ outside | join(' or ') }}

{% endtest %}
