-- One row per event of the billing system, accumulated beyond the vendor's 30 days. Rows that cannot be used are in
-- quarantine__stripe.

select
    ---------- ids
    stripe_event_id,
    object_id,

    ---------- strings
    event_type,
    object_type,
    api_version,

    ---------- timestamps
    occurred_at,

    ---------- parts kept as JSON
    object_after,
    previous_attributes
from {{ ref('base_stripe__events') }}
where row_verdict = 'staged'
