-- One row per invoice. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    invoice_id,
    stripe_customer_id,
    stripe_subscription_id,

    ---------- strings
    invoice_number,
    invoice_status,
    currency,
    billing_reason,

    ---------- numerics, in minor units of the currency
    subtotal_minor,
    total_minor,
    total_excluding_tax_minor,
    amount_due_minor,
    amount_paid_minor,
    amount_remaining_minor,
    attempt_count,

    ---------- booleans
    is_attempted,

    ---------- timestamps
    created_at,
    period_starts_at,
    period_ends_at,
    due_at,
    next_payment_attempt_at,
    finalized_at,
    paid_at,
    voided_at,
    marked_uncollectible_at,

    ---------- parts kept as JSON
    lines,
    discounts
from {{ ref('base_stripe__invoices') }}
where row_verdict = 'staged'
