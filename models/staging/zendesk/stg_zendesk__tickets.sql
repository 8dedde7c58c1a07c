-- One row per ticket, the latest copy of each, deleted ones included (status deleted).

select
    ---------- ids
    ticket_id,
    external_id,
    requester_id,
    submitter_id,
    assignee_id,
    zendesk_organization_id,
    group_id,

    ---------- strings
    subject,
    ticket_type,
    status,
    priority,
    tags,
    via_channel,
    satisfaction_score,

    ---------- numerics
    first_reply_minutes,
    full_resolution_minutes,
    reopens,
    replies,

    ---------- booleans
    is_own_escalation,

    ---------- timestamps
    created_at,
    updated_at,
    solved_at
from {{ ref('base_zendesk__tickets') }}
where row_verdict = 'staged'
