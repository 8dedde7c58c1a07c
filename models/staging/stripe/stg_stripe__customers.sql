-- One row per billing customer. Rows that cannot be used are in quarantine__stripe.

select
    ---------- ids
    stripe_customer_id,
    account_id,

    ---------- strings
    email,
    customer_name,
    currency,

    ---------- booleans
    is_delinquent,
    is_deleted,

    ---------- timestamps
    created_at,

    ---------- parts kept as JSON
    discount
from {{ ref('base_stripe__customers') }}
where row_verdict = 'staged'
