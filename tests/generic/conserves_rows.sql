-- The conservation law of a source's staging, on its quarantine view: of each raw table every row is once in the base
-- model with a verdict, the staged ones are exactly the rows of the staging model, and the quarantined ones exactly
-- those that the quarantine view shows for the table, each with a reason. `tables` names each raw table's key in
-- staging: every staged row has one and it is there once (null: copies stay in staging). One failing row per table that
-- breaks it.
{% test conserves_rows(model, source_name, tables) %}

with

{% for table, key in tables.items() %}
{{ table }}_verdicts as (

    select
        '{{ table }}' as table_name,
        count(*) as base_rows,
        count(*) filter (where row_verdict = 'staged') as staged_rows,
        count(*) filter (where row_verdict = 'quarantined') as quarantined_rows,
        count(*) filter (where row_verdict = 'deduplicated') as deduplicated_rows,
        count(*) filter (where row_verdict = 'quarantined' and reject_reason is null) as without_reason,
        (select count(*) from {{ source(source_name, table) }}) as raw_rows,
        (select count(*) from {{ ref('stg_' ~ source_name ~ '__' ~ table) }}) as rows_in_staging,
        (
            select count({{ 'distinct ' ~ key if key else '*' }})
            from {{ ref('stg_' ~ source_name ~ '__' ~ table) }}
        ) as keys_in_staging
    from {{ ref('base_' ~ source_name ~ '__' ~ table) }}

),

{% endfor %}
verdicts as (

    {% for table in tables %}
    select * from {{ table }}_verdicts
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

quarantined as (

    select
        table_name,
        count(*) as rows_in_quarantine
    from {{ model }}
    group by table_name

),

counted as (

    select
        verdicts.*,
        coalesce(quarantined.rows_in_quarantine, 0) as rows_in_quarantine
    from verdicts
    left join quarantined on verdicts.table_name = quarantined.table_name

)

select *
from counted
where
    raw_rows != base_rows
    or base_rows != staged_rows + quarantined_rows + deduplicated_rows
    or rows_in_staging != staged_rows
    or rows_in_staging != keys_in_staging
    or rows_in_quarantine != quarantined_rows
    or without_reason > 0
union all
-- a table that the quarantine view shows and nobody counts
select
    quarantined.table_name,
    cast(null as bigint) as base_rows,
    cast(null as bigint) as staged_rows,
    cast(null as bigint) as quarantined_rows,
    cast(null as bigint) as deduplicated_rows,
    cast(null as bigint) as without_reason,
    cast(null as bigint) as raw_rows,
    cast(null as bigint) as rows_in_staging,
    cast(null as bigint) as keys_in_staging,
    quarantined.rows_in_quarantine
from quarantined
left join verdicts on quarantined.table_name = verdicts.table_name
where verdicts.table_name is null

{% endtest %}
