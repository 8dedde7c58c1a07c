-- One row per invoice line.
-- Why it exists: full-period lines say which price and quantity a subscription had from the first second of a period,
-- proration lines say when within a period it changed. Together they are history that the vendor never forgets, unlike
-- events (30 days).
-- Hazard: a proration is a credit (below zero) for the old state and a debit for the new one; only the debit describes
-- what is true afterwards, and a credit alone means that the item went away.

with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

exploded as (

    select
        invoice_id,
        stripe_customer_id,
        stripe_subscription_id as invoice_subscription_id,
        invoice_status,
        billing_reason,
        created_at as invoiced_at,
        {{ json_elements('lines', '$.data') }} as line
    from invoices

),

unnested as (

    select
        ---------- ids
        {{ json_text('line', '$.id') }} as invoice_line_id,
        invoice_id,
        stripe_customer_id,
        coalesce(
            {{ json_text('line', '$.parent.subscription_item_details.subscription') }},
            {{ json_text('line', '$.parent.invoice_item_details.subscription') }},
            {{ json_text('line', '$.subscription') }},
            invoice_subscription_id
        ) as stripe_subscription_id,
        {{ json_text('line', '$.parent.subscription_item_details.subscription_item') }} as subscription_item_id,
        coalesce(
            {{ json_text('line', '$.pricing.price_details.price') }},
            {{ json_text('line', '$.price.id') }}
        ) as price_id,

        ---------- strings
        invoice_status,
        billing_reason,

        ---------- numerics, in minor units of the invoice's currency
        try_cast({{ json_text('line', '$.amount') }} as bigint) as amount_minor,
        try_cast({{ json_text('line', '$.quantity') }} as bigint) as quantity,

        ---------- booleans
        coalesce(
            {{ json_text('line', '$.parent.subscription_item_details.proration') }},
            {{ json_text('line', '$.parent.invoice_item_details.proration') }},
            {{ json_text('line', '$.proration') }},
            'false'
        ) = 'true' as is_proration,

        ---------- timestamps
        {{ json_unix_time('line', '$.period.start') }} as period_starts_at,
        {{ json_unix_time('line', '$.period.end') }} as period_ends_at,
        invoiced_at
    from exploded

)

select * from unnested
