-- One row per escalation ticket that Zendesk should get now: internal, for the owner of the action, with the story in
-- it. Hazard: a public first comment mails the requester. The payload says public: false, and the adapter insists on
-- it.

with

due as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open
        and not is_sent
        and destination = 'zendesk'
        and object = 'tickets'

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
        ['subject', "'[' || due.owner_team || '] ' || due.title || ': ' || context.customer_name"],
        ['comment', 'context.story'],
        ['public', 'false'],
        ['priority', 'due.urgency'],
        ['type', "'task'"],
        ['tags', json_texts([
            "'lifecycle_escalation'", 'due.action', "'state_' || due.state_at_decision", "'owner_' || due.owner_team",
        ])],
        ['requester_email', 'due.recipient_email'],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
inner join context
    on due.action_id = context.action_id
