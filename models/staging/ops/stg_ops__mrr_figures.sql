-- One row per closed customer month and published value of it, the first with revision 1.

with

source as (

    select * from {{ source('ops', 'mrr_figures') }}

)

select
    run_id,
    customer_id,
    month,
    revision,
    cast(closing_cents * cast(0.01 as decimal(3, 2)) as decimal(18, 2)) as closing_mrr,
    cast(previous_cents * cast(0.01 as decimal(3, 2)) as decimal(18, 2)) as previous_mrr,
    previous_run_id,
    cause,
    causes,
    evidence,
    published_at
from source
