-- The select list of one branch of a union: every column of `columns` (name to type) in its order. `own` are those that
-- the branch has by that name (under `alias`), `given` maps others to what they are here. Of the rest the branch says
-- nothing, so they are null.
{% macro union_branch(columns, own=[], given={}, alias='') -%}
    {%- set own = own | list -%}
    {%- for name in own + (given | list) if name not in columns -%}
        {{ exceptions.raise_compiler_error(
            'union_branch: ' ~ name ~ ' is none of the columns of the union: ' ~ columns | join(', ')
        ) }}
    {%- endfor -%}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {%- for name, type in columns.items() %}
    {% if name in given -%}
        {{ given[name] }} as {{ name }}
    {%- elif name in own -%}
        {{ prefix }}{{ name }}
    {%- else -%}
        cast(null as {{ type }}) as {{ name }}
    {%- endif -%}
    {{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
