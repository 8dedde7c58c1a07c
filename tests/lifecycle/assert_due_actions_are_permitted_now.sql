-- Guards the permits: for everything that is due, the state in which the customer is at this moment has a permit for
-- the action and its owner. Judged from the history and the seeds, not from the decision.

with

due as (

    select
        action_id,
        customer_id,
        action,
        owner_team
    from {{ ref('action_decisions') }}
    where
        decision = 'permitted'
        and is_open
        and sent_at is null

)

select
    due.action_id,
    due.action,
    stays.lifecycle_state
from due
left join {{ ref('lifecycle_state_history') }} as stays
    on
        due.customer_id = stays.customer_id
        and stays.is_current
        and stays.region = 'customer'
left join {{ ref('state_permits') }} as permits
    on
        stays.lifecycle_state = permits.state
        and due.action = permits.action
        and due.owner_team = permits.team
where permits.action is null
