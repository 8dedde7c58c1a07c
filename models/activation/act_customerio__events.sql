-- One row per event that Customer.io should get now: the event starts or stops one of its campaigns. Only what is
-- due: permitted, still in time and not acknowledged. The name of the event is the template of the action.

with

due as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open
        and not is_sent
        and destination = 'customerio'
        and object = 'events'

),

context as (

    select * from {{ ref('int_action_context__described') }}

)

select
    due.action_id,
    due.customer_id,
    due.action,
    due.destination,
    due.object,
    due.occurrence_id,
    due.occurred_at,
    due.decided_at,
    due.expires_at,
    cast(due.priority as integer) as priority,
    cast(due.template_version as integer) as template_version,
    {{ as_json_text(json_object([
        ['user_id', 'due.recipient_user_id'],
        ['email', 'due.recipient_email'],
        ['event_name', 'due.template'],
        ['attributes', json_object([
            ['action', 'due.action'],
            ['template_version', 'due.template_version'],
            ['customer_id', 'due.customer_id'],
            ['account_id', 'context.account_id'],
            ['customer_name', 'context.customer_name'],
            ['lifecycle_state', 'due.state_at_decision'],
            ['reason', 'context.trigger_meaning'],
            ['occurred_at', iso_utc('due.occurred_at')],
            ['proof_count', 'context.proof_count'],
            ['active_days_28d', 'context.active_days_28d'],
            ['plan', 'context.plan'],
        ])],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
inner join context
    on due.action_id = context.action_id
