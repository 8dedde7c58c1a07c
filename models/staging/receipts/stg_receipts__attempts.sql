-- One row per attempt to deliver an action; an attempt without an end was cut off, and nobody knows whether it
-- arrived.

select
    ---------- ids
    attempt_id,
    action_id,

    ---------- strings
    destination,
    outcome,
    reason,

    ---------- numerics
    attempt_number,
    status_code,

    ---------- timestamps
    started_at,
    finished_at
from {{ ref('base_receipts__attempts') }}
where row_verdict = 'staged'
