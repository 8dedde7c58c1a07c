-- Guards the machine: what a state claims and what billing and usage say are computed on different paths. One customer
-- in a hundred may be in between (a silo that has not spoken yet); more of them mean that a transition is missing.

with

current_stays as (

    select
        lifecycle_state,
        count(*) as customers
    from {{ ref('lifecycle_state_history') }}
    where is_current
    group by lifecycle_state

),

broken as (

    select
        lifecycle_state,
        measure,
        count(*) as broken_customers
    from {{ ref('state_alarms') }}
    where alarm = 'invariant'
    group by lifecycle_state, measure

)

select
    broken.lifecycle_state,
    broken.measure,
    broken.broken_customers,
    current_stays.customers
from broken
inner join current_stays
    on broken.lifecycle_state = current_stays.lifecycle_state
where broken.broken_customers > greatest(2, current_stays.customers * 0.01)
