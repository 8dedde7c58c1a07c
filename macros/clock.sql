-- The instant at which the project stands: UTC, naive. A literal when the run passes it (--vars 'as_of: ...'), else
-- the as_of of the last run, so that a plain `dbt build` gives the same rows. Facts count when they happened before
-- it. A function of the warehouse, set when dbt starts, and not a subquery: the engine then plans with a value, skips what
-- lies beyond it, and knows how much is left, which takes a tenth off a build.
{% macro as_of() -%}
    {%- if var('as_of', none) is not none -%}
        cast('{{ var("as_of") }}' as timestamp)
    {%- else -%}
        main.as_of()
    {%- endif -%}
{%- endmacro %}


-- Runs before everything else: sets what as_of() says. Null as long as nothing was loaded.
{% macro stand_at_last_run() -%}
    {%- if execute -%}
        {%- set stood = none -%}
        {%- if load_relation(source('ops', 'runs')) is not none -%}
            {%- set stood = run_query('select cast(max(as_of) as text) from ' ~ source('ops', 'runs')).rows[0][0] -%}
        {%- endif -%}
        {%- call statement('stand_at_last_run', auto_begin=True) -%}
            create or replace macro main.as_of() as cast({{ "'" ~ stood ~ "'" if stood else 'null' }} as timestamp)
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}


-- Up to when every silo has spoken: the oldest of the silos' last successful watermarks. UTC.
{% macro data_through_at() -%}
    (
        select min(silo_through_at)
        from (
            select max(data_through_at) as silo_through_at
            from {{ source('ops', 'extracts') }}
            where status = 'succeeded' and source in ({{ quoted_list(var('silos')) }})
            group by source
        ) as silo_watermarks
    )
{%- endmacro %}


-- The version of seeds/definitions that a mart was computed under, as text.
{% macro definition_version() -%}
    cast('{{ var("definition_version") }}' as {{ dbt.type_string() }})
{%- endmacro %}


-- Later than this a time cannot be believed: clocks differ, but not by more than a day.
{% macro latest_believable_at() -%}
    {{ dbt.dateadd('day', 1, as_of()) }}
{%- endmacro %}


-- True when a time lies before the company existed or too far in the future; null stays null.
{% macro is_unbelievable_time(column) -%}
    ({{ column }} < cast('{{ var("company_founded_on") }}' as timestamp) or {{ column }} > {{ latest_believable_at() }})
{%- endmacro %}
