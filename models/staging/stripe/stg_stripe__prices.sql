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
    tiers_mode,
    quantity_rounding,

    ---------- numerics
    interval_count,
    unit_amount_minor,
    quantity_divisor,

    ---------- booleans
    is_active,
    is_tiered,

    ---------- timestamps
    created_at,

    ---------- parts kept as JSON
    tiers
from {{ ref('base_stripe__prices') }}
where row_verdict = 'staged'
