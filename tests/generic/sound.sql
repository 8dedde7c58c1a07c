-- What every row of a model must be, in one test: a data test costs far more in dbt than its query costs in the engine.
-- One failing row per row and rule that it breaks, with the rule, the row's key and what was found there.
--
--   by            what one row is: no two rows agree on all these columns, and none of these is null
--   nullable      the columns of `by` that may be null (two nulls agree)
--   key           how a failing row is called, where an enforced contract already holds the key (else: `by`)
--   never_null    further columns that every row has
--   also_unique   further keys, each a list of columns; two nulls agree
--   one_of        {column: [values]}; null passes
--   between       {column: [least, greatest]}, both allowed, null for no limit; null passes
--   exists_in     {column: ref('model')} with a column of the same name there, or
--                 {column: {model: ref('model'), column: name, where: condition there, when: condition here}}; null
--                 passes
--   holds         {sentence: expression}; true for every row. Null is a failure: a law that cannot be checked does not
--                 hold
--
-- Where a contract is enforced, a not_null or primary_key constraint needs no rule: DuckDB enforces both while the
-- model is built, so the build itself fails.
{% test sound(
    model,
    by=[],
    nullable=[],
    key=[],
    never_null=[],
    also_unique=[],
    one_of={},
    between={},
    exists_in={},
    holds={}
) %}
{%- set rules = sound_rules(by | reject('in', nullable) | list + never_null, one_of, between, exists_in, holds) %}
{%- set unique_keys = ([by] if by else []) + also_unique %}
{%- if not rules and not unique_keys -%}
    {{ exceptions.raise_compiler_error('sound has no rule for ' ~ model ~ '.') }}
{%- endif %}
{%- set row_key = sound_row_key(key or by) %}
{%- set parts = ['named'] if rules else [] %}
{%- for columns in unique_keys %}
    {%- do parts.append('doubled_' ~ loop.index) %}
{%- endfor %}

with

{% if rules %}
-- one pass for all rules; in a sound model nothing comes out of it
broken as (

    select *
    from {{ model }}
    where
        {% for rule in rules %}
        {{ 'or ' if not loop.first }}({{ rule.is_broken }})
        {% endfor %}

),

named as (

    {% for rule in rules %}
    select
        '{{ rule.name | replace("'", "''") }}' as broken_rule,
        {{ row_key }} as row_key,
        {{ rule.found }} as found
    from broken
    where {{ rule.is_broken }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

{% endif %}
{% for columns in unique_keys %}
doubled_{{ loop.index }} as (

    select
        'several rows with one {{ columns | join(", ") }}' as broken_rule,
        {{ sound_row_key(columns) }} as row_key,
        cast(count(*) as {{ dbt.type_string() }}) || ' rows' as found
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

),

{% endfor %}
findings as (

    {% for part in parts %}
    select * from {{ part }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from findings

{% endtest %}
