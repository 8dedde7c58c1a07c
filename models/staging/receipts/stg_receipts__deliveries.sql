-- One row per action that the ledger has planned, in its latest state; rows that cannot be used are in
-- quarantine__receipts.

select
    ---------- ids
    action_id,
    customer_id,
    occurrence_id,
    vendor_reference,
    payload_hash,

    ---------- strings
    action,
    destination,
    object,
    delivery_state,

    ---------- numerics
    attempt_count,

    ---------- timestamps
    first_planned_at,
    acknowledged_at,
    updated_at
from {{ ref('base_receipts__deliveries') }}
where row_verdict = 'staged'
