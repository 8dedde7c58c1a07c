-- One row per event that Customer.io should get now: the event starts or stops one of its campaigns. Only what is
-- due: permitted, still in time and not acknowledged. The name of the event is the template of the action.

with

due as (

    select * from {{ ref('int_actions__described') }}
    where
        destination = 'customerio'
        and object = 'events'

)

select
    action_id,
    customer_id,
    action,
    destination,
    object,
    occurrence_id,
    occurred_at,
    decided_at,
    expires_at,
    priority,
    template_version,
    {{ as_json_text(json_object([
        ['user_id', 'recipient_user_id'],
        ['email', 'recipient_email'],
        ['event_name', 'template'],
        ['attributes', json_object([
            ['action', 'action'],
            ['template_version', 'template_version'],
            ['customer_id', 'customer_id'],
            ['account_id', 'account_id'],
            ['customer_name', 'customer_name'],
            ['lifecycle_state', 'lifecycle_state'],
            ['reason', 'trigger_meaning'],
            ['occurred_at', iso_utc('occurred_at')],
            ['proof_count', 'proof_count'],
            ['active_days_28d', 'active_days_28d'],
            ['plan', 'plan'],
        ])],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
