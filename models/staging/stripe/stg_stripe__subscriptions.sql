-- One row per subscription as the vendor last showed it: the present, not the history. Rows that cannot be used are
-- in quarantine__stripe.

select
    ---------- ids
    stripe_subscription_id,
    stripe_customer_id,
    latest_invoice_id,

    ---------- strings
    subscription_status,
    currency,
    collection_method,
    pause_behavior,

    ---------- booleans
    is_cancelled_at_period_end,

    ---------- timestamps
    created_at,
    started_at,
    billing_cycle_anchor_at,
    trial_starts_at,
    trial_ends_at,
    cancels_at,
    cancelled_at,
    ended_at,

    ---------- parts kept as JSON
    items,
    discounts
from {{ ref('base_stripe__subscriptions') }}
where row_verdict = 'staged'
