-- The conservation law of a base model: every raw row is there once with a verdict, the staged ones are exactly the
-- rows of the staging model, and the quarantined ones exactly those the quarantine view shows for the table.
{% test conserves_rows(model, raw, staged, quarantine, table_name) %}

with

verdicts as (

    select
        count(*) as base_rows,
        count(*) filter (where row_verdict = 'staged') as staged_rows,
        count(*) filter (where row_verdict = 'quarantined') as quarantined_rows,
        count(*) filter (where row_verdict = 'deduplicated') as deduplicated_rows,
        count(*) filter (where row_verdict = 'quarantined' and reject_reason is null) as without_reason
    from {{ model }}

),

counted as (

    select
        verdicts.*,
        (select count(*) from {{ raw }}) as raw_rows,
        (select count(*) from {{ staged }}) as rows_in_staging,
        (select count(*) from {{ quarantine }} where table_name = '{{ table_name }}') as rows_in_quarantine
    from verdicts

)

select *
from counted
where
    raw_rows != base_rows
    or base_rows != staged_rows + quarantined_rows + deduplicated_rows
    or rows_in_staging != staged_rows
    or rows_in_quarantine != quarantined_rows
    or without_reason > 0

{% endtest %}
