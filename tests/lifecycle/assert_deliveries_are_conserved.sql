-- Guards action_deliveries: every delivery that the ledger planned before as_of is there once, with or without a
-- decision.

with

planned as (

    select
        count(*) as row_count,
        count(distinct action_id) as action_count
    from {{ ref('stg_receipts__deliveries') }}
    where first_planned_at < {{ as_of() }}

),

published as (

    select count(*) as row_count
    from {{ ref('action_deliveries') }}

)

select
    planned.row_count,
    planned.action_count,
    published.row_count as published_row_count
from planned
cross join published
where
    planned.row_count != published.row_count
    or planned.action_count != published.row_count
