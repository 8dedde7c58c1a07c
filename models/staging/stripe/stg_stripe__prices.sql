-- One row per price. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    price_id,
    product_id,

    ---------- strings
    currency,
    price_name,
    price_type,
    billing_interval,
    usage_type,

    ---------- numerics
    interval_count,
    unit_amount_minor,

    ---------- booleans
    is_active,

    ---------- timestamps
    created_at
from {{ ref('base_stripe__prices') }}
where row_verdict = 'staged'
