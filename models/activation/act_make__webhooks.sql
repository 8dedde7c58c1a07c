-- One row per webhook that Make should get now, for the routing that people build there.
-- The template of the action is the type of the webhook. No e-mail address: a scenario that needs one looks it up.

with

due as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open
        and not is_sent
        and destination = 'make'
        and object = 'webhooks'

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
        ['type', 'due.template'],
        ['timestamp', iso_utc('due.occurred_at')],
        ['data', json_object([
            ['action_id', 'due.action_id'],
            ['action', 'due.action'],
            ['template_version', 'due.template_version'],
            ['urgency', 'due.urgency'],
            ['customer_id', 'due.customer_id'],
            ['account_id', 'context.account_id'],
            ['customer_name', 'context.customer_name'],
            ['lifecycle_state', 'due.state_at_decision'],
            ['state_since', iso_utc('context.state_since')],
            ['state_owner_team', 'context.state_owner_team'],
            ['reason', 'context.trigger_meaning'],
            ['proof_count', 'context.proof_count'],
            ['proving_event_ids', 'context.proving_event_ids'],
            ['plan', 'context.plan'],
            ['seats', 'context.seats'],
            ['mrr_usd', 'context.mrr'],
            ['events_7d', 'context.events_7d'],
            ['active_days_28d', 'context.active_days_28d'],
            ['tickets_28d', 'context.tickets_28d'],
        ])],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
inner join context
    on due.action_id = context.action_id
