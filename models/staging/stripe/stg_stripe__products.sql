-- One row per product of the catalogue. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    product_id,

    ---------- strings
    product_name,
    plan,

    ---------- booleans
    is_active,
    is_deleted,

    ---------- timestamps
    created_at
from {{ ref('base_stripe__products') }}
where row_verdict = 'staged'
