-- Guards mrr in the customer's row: for every customer it is the closing of the open month in mrr_movements, to the
-- cent, and nobody in the bridge is missing from the rows. Two numbers for the same revenue are worse than none.

with

bridge as (

    select
        customer_id,
        closing_mrr
    from {{ ref('mrr_movements') }}
    where is_open_month

),

lifecycle as (

    select
        customer_id,
        mrr
    from {{ ref('customer_lifecycle') }}
    where mrr is not null

)

select
    coalesce(bridge.customer_id, lifecycle.customer_id) as customer_id,
    bridge.closing_mrr,
    lifecycle.mrr
from bridge
full outer join lifecycle on bridge.customer_id = lifecycle.customer_id
where
    -- a customer of billing that never paid has no bridge, and must have no revenue
    coalesce(bridge.closing_mrr, 0) != coalesce(lifecycle.mrr, 0)
    or (bridge.customer_id is not null and lifecycle.customer_id is null)
