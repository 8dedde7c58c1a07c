-- The rules of the generic test `sound` (tests/generic/sound.sql) as SQL: each has a name, a condition under which a row
-- breaks it, and what to show of a row that does.
{% macro sound_rules(never_null, one_of, between, exists_in, holds) -%}
    {%- set rules = [] -%}
    {%- set text = dbt.type_string() -%}
    {%- for column in never_null -%}
        {%- do rules.append({
            'name': column ~ ' is null',
            'is_broken': column ~ ' is null',
            'found': row_as_json('broken'),
        }) -%}
    {%- endfor -%}
    {%- for column, values in one_of.items() -%}
        {%- do rules.append(sound_rule(
            column, 'one of ' ~ values | join(', '), column ~ ' not in (' ~ sound_literals(values) ~ ')', text
        )) -%}
    {%- endfor -%}
    {%- for column, limits in between.items() -%}
        {%- set outside = [] -%}
        {%- if limits[0] is not none -%}{%- do outside.append(column ~ ' < ' ~ limits[0]) -%}{%- endif -%}
        {%- if limits[1] is not none -%}{%- do outside.append(column ~ ' > ' ~ limits[1]) -%}{%- endif -%}
        {%- do rules.append(sound_rule(
            column,
            'within ' ~ ('any' if limits[0] is none else limits[0]) ~ ' to ' ~ ('any' if limits[1] is none else limits[1]),
            outside | join(' or '),
            text
        )) -%}
    {%- endfor -%}
    {%- for column, target in exists_in.items() -%}
        {%- set parent = target if 'model' in target else {'model': target} -%}
        {%- set parent_column = parent.get('column', column) -%}
        {%- do rules.append(sound_rule(
            column,
            'in ' ~ parent.model.identifier ~ '.' ~ parent_column ~ (', when ' ~ parent['when'] if 'when' in parent),
            ('(' ~ parent['when'] ~ ') and ' if 'when' in parent) ~ column ~ ' is not null and ' ~ column
            ~ ' not in (select parent.' ~ parent_column ~ ' from ' ~ parent.model ~ ' as parent where parent.'
            ~ parent_column ~ ' is not null' ~ (' and (' ~ parent['where'] ~ ')' if 'where' in parent) ~ ')',
            text
        )) -%}
    {%- endfor -%}
    {%- for sentence, expression in holds.items() -%}
        {%- do rules.append({
            'name': 'not so: ' ~ sentence,
            'is_broken': '(' ~ expression ~ ') is not true',
            'found': row_as_json('broken'),
        }) -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}


{% macro sound_rule(column, promise, is_broken, text) -%}
    {{ return({
        'name': column ~ ' is not ' ~ promise,
        'is_broken': is_broken,
        'found': 'cast(' ~ column ~ ' as ' ~ text ~ ')',
    }) }}
{%- endmacro %}


-- The columns with their values as text: a=1, b=null. Without columns the whole row.
{% macro sound_row_key(columns) -%}
    {%- if not columns -%}{{ return(row_as_json('broken')) }}{%- endif -%}
    {%- set parts = [] -%}
    {%- set text = dbt.type_string() -%}
    {%- for column in columns -%}
        {%- do parts.append("'" ~ column ~ "=' || coalesce(cast(" ~ column ~ " as " ~ text ~ "), 'null')") -%}
    {%- endfor -%}
    {{ return(parts | join(" || ', ' || ")) }}
{%- endmacro %}


{% macro sound_literals(values) -%}
    {%- set literals = [] -%}
    {%- for value in values -%}
        {%- do literals.append("'" ~ value | replace("'", "''") ~ "'" if value is string else value | string) -%}
    {%- endfor -%}
    {{ return(literals | join(', ')) }}
{%- endmacro %}
