-- Guards lifecycle_state_history against losing or doubling customers: everybody who was resolved is in one state
-- now.

with

current_stays as (

    select
        customer_id,
        count(*) as states
    from {{ ref('lifecycle_state_history') }}
    where
        is_current
        and region = 'customer'
    group by customer_id

)

select
    customers.customer_id,
    current_stays.customer_id as customer_id_in_history,
    current_stays.states
from {{ ref('int_customers__resolved') }} as customers
full outer join current_stays
    on customers.customer_id = current_stays.customer_id
where
    customers.customer_id is null
    or current_stays.states is distinct from 1
