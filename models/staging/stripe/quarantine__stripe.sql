-- One row per raw billing row that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('stripe', 'customers', ref('base_stripe__customers'), 'stripe_customer_id') }}
union all
{{ quarantined_rows('stripe', 'products', ref('base_stripe__products'), 'product_id') }}
union all
{{ quarantined_rows('stripe', 'prices', ref('base_stripe__prices'), 'price_id') }}
union all
{{ quarantined_rows('stripe', 'coupons', ref('base_stripe__coupons'), 'coupon_id') }}
union all
{{ quarantined_rows('stripe', 'subscriptions', ref('base_stripe__subscriptions'), 'stripe_subscription_id') }}
union all
{{ quarantined_rows('stripe', 'invoices', ref('base_stripe__invoices'), 'invoice_id') }}
union all
{{ quarantined_rows('stripe', 'refunds', ref('base_stripe__refunds'), 'refund_id') }}
union all
{{ quarantined_rows('stripe', 'events', ref('base_stripe__events'), 'stripe_event_id') }}
