-- Guards the two views of the same money: the event-dated ledger, added up per customer and month, is the movement of
-- mrr_movements to the cent. If they part, a signal fires on a change that finance does not see, or the other way
-- round.

with

ledger as (

    select
        customer_id,
        month,
        sum(amount) as ledger_amount
    from {{ ref('int_mrr_movements__dated') }}
    group by customer_id, month

),

bridge as (

    select
        customer_id,
        month,
        movement_mrr
    from {{ ref('mrr_movements') }}

)

select
    coalesce(ledger.customer_id, bridge.customer_id) as customer_id,
    coalesce(ledger.month, bridge.month) as month,
    ledger.ledger_amount,
    bridge.movement_mrr
from ledger
full outer join bridge
    on
        ledger.customer_id = bridge.customer_id
        and ledger.month = bridge.month
where coalesce(ledger.ledger_amount, 0) != coalesce(bridge.movement_mrr, 0)
