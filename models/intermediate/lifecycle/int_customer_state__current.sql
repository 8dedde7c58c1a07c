-- One row per customer: the state it is in, since when, by which proof, who owns it and what may be done there.
-- The state shown is that of region `customer`; a machine with more regions gives one derived state here.

with

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where
        is_current
        and region = 'customer'

),

states as (

    select
        state,
        is_danger
    from {{ ref('lifecycle_states') }}

),

permits as (

    select
        state,
        action,
        team,
        max_per_stay
    from {{ ref('state_permits') }}

),

actions as (

    select
        action,
        priority,
        mode
    from {{ ref('actions') }}

),

decisions as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open

),

-- what may whom do in a state?
permitted as (

    select
        permits.state,
        {{ dbt.listagg('permits.action', "', '", 'order by actions.priority, permits.action') }} as allowed_actions
    from permits
    inner join actions
        on permits.action = actions.action
    where actions.mode != 'paused'
    group by permits.state

),

-- which action is on its way?
due as (

    select
        customer_id,
        action,
        expires_at
    from decisions
    qualify row_number() over (
        partition by customer_id
        order by priority, occurred_at, action, occurrence_id
    ) = 1

)

select
    stays.customer_id,
    stays.state as lifecycle_state,
    stays.valid_from as state_entered_at,
    stays.recorded_at as state_recorded_at,
    stays.owner_team as state_owner_team,
    stays.state_before as previous_lifecycle_state,
    stays.signal_id as state_signal,
    stays.reason as state_reason,
    stays.occurrence_id as state_proof_occurrence_id,
    stays.proving_event_ids as state_proof_event_ids,
    stays.time_limit_at as state_time_limit_at,
    coalesce(stays.time_limit_at <= {{ as_of() }}, false) as is_over_time_limit,
    coalesce(states.is_danger, false) as is_in_danger,
    permitted.allowed_actions,
    due.action as next_action,
    due.expires_at as next_action_expires_at
from stays
left join states
    on stays.state = states.state
left join permitted
    on stays.state = permitted.state
left join due
    on stays.customer_id = due.customer_id
