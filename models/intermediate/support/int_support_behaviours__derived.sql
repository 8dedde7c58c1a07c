-- One row per thing a customer did, or had done to them, in support: what the signals of the playbook can listen to.
-- Our own escalations are left out: a signal that hears its own action would ring for ever.

with

tickets as (

    select * from {{ ref('int_tickets__attributed') }}
    where customer_id is not null and not is_own_escalation

)

select
    customer_id,
    'ticket_opened' as behaviour,
    created_at as occurred_at,
    'zendesk:ticket:' || ticket_id || ':opened' as event_id,
    '{"ticket_id": "' || ticket_id || '", "priority": "' || coalesce(priority, 'none') || '"}' as properties
from tickets
union all
select
    customer_id,
    'ticket_solved' as behaviour,
    solved_at as occurred_at,
    -- a ticket that is solved again is a new event, so its time is part of the id
    'zendesk:ticket:' || ticket_id || ':solved:' || cast(solved_at as {{ dbt.type_string() }}) as event_id,
    '{"ticket_id": "' || ticket_id || '", "priority": "' || coalesce(priority, 'none') || '"}' as properties
from tickets
where solved_at < {{ as_of() }}
union all
select
    customer_id,
    'ticket_rated_' || satisfaction_score as behaviour,
    rated_at as occurred_at,
    'zendesk:ticket:' || ticket_id || ':rated:' || satisfaction_score as event_id,
    '{"ticket_id": "' || ticket_id || '", "priority": "' || coalesce(priority, 'none') || '"}' as properties
from tickets
where rated_at < {{ as_of() }}
