-- One row per coupon. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    coupon_id,

    ---------- strings
    coupon_name,
    currency,
    coupon_duration,
    limited_to_products,

    ---------- numerics
    percent_off,
    amount_off_minor,
    duration_in_months,

    ---------- booleans
    is_valid,
    is_deleted,

    ---------- timestamps
    created_at
from {{ ref('base_stripe__coupons') }}
where row_verdict = 'staged'
