-- One row per webhook that Make should get now, for the routing that people build there.
-- The template of the action is the type of the webhook. No e-mail address: a scenario that needs one looks it up.

with

due as (

    select * from {{ ref('int_actions__described') }}
    where
        destination = 'make'
        and object = 'webhooks'

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
        ['type', 'template'],
        ['timestamp', iso_utc('occurred_at')],
        ['data', json_object([
            ['action_id', 'action_id'],
            ['action', 'action'],
            ['template_version', 'template_version'],
            ['urgency', 'urgency'],
            ['customer_id', 'customer_id'],
            ['account_id', 'account_id'],
            ['customer_name', 'customer_name'],
            ['lifecycle_state', 'lifecycle_state'],
            ['state_since', iso_utc('state_since')],
            ['state_owner_team', 'state_owner_team'],
            ['state_reason', 'state_reason'],
            ['handed_from', 'handed_from'],
            ['handed_to', 'handed_to'],
            ['pick_up_by', iso_utc('pick_up_by')],
            ['permitted_actions', 'permitted_actions'],
            ['reason', 'trigger_meaning'],
            ['proof_count', 'proof_count'],
            ['proving_event_ids', 'proving_event_ids'],
            ['plan', 'plan'],
            ['seats', 'seats'],
            ['mrr_usd', 'mrr'],
            ['events_7d', 'events_7d'],
            ['active_days_28d', 'active_days_28d'],
            ['tickets_28d', 'tickets_28d'],
        ])],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
