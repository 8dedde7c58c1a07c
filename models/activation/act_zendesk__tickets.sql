-- One row per escalation ticket that Zendesk should get now: internal, for the owner of the action, with the story in
-- it. Hazard: a public first comment mails the requester. The payload says public: false, and the adapter insists on
-- it.

with

due as (

    select * from {{ ref('int_actions__described') }}
    where
        destination = 'zendesk'
        and object = 'tickets'

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
        ['subject', "'[' || owner_team || '] ' || title || ': ' || customer_name"],
        ['comment', 'story'],
        ['public', 'false'],
        ['priority', 'urgency'],
        ['type', "'task'"],
        ['tags', json_texts([
            "'lifecycle_escalation'", 'action', "'state_' || lifecycle_state", "'owner_' || owner_team",
        ])],
        ['requester_email', 'recipient_email'],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
