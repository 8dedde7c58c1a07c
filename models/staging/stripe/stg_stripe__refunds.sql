-- One row per refund. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    refund_id,
    charge_id,
    payment_intent_id,
    stripe_customer_id,

    ---------- strings
    refund_status,
    currency,
    refund_reason,

    ---------- numerics, in minor units of the currency
    amount_minor,

    ---------- timestamps
    created_at
from {{ ref('base_stripe__refunds') }}
where row_verdict = 'staged'
