-- One row per subscription and reporting month in which usage was invoiced: what the usage-based lines ask for, per
-- month of their billing interval, exactly and in the subscription's currency.
-- Why it exists: usage is not MRR, but it is revenue that comes every month, and other tools count it.
-- Hazard: usage is invoiced after the fact; the month is the one in which it was invoiced, not in which it was used.

with

lines as (

    select * from {{ ref('int_invoice_lines__unnested') }}

),

prices as (

    select * from {{ ref('int_prices__normalized') }}

),

identities as (

    select
        source_record_id as stripe_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

-- what was invoiced for usage, by the month of the invoice?
invoiced as (

    select
        lines.stripe_subscription_id,
        lines.stripe_customer_id,
        prices.currency,
        prices.minor_unit_digits,
        {{ reporting_month('lines.invoiced_at') }} as month,
        sum({{ monthly_units(
            'cast(lines.amount_minor as decimal(18, 4))', 'prices.billing_interval', 'prices.interval_count'
        ) }}) as usage_units
    from lines
    inner join prices on lines.price_id = prices.price_id
    where
        not prices.is_licensed
        and lines.stripe_subscription_id is not null
        and lines.invoice_status in ('open', 'paid', 'uncollectible')
        and lines.invoiced_at < {{ as_of() }}
    group by
        lines.stripe_subscription_id,
        lines.stripe_customer_id,
        prices.currency,
        prices.minor_unit_digits,
        {{ reporting_month('lines.invoiced_at') }}

)

select
    identities.customer_id,
    invoiced.stripe_subscription_id,
    invoiced.currency,
    invoiced.minor_unit_digits,
    invoiced.month,
    invoiced.usage_units
from invoiced
inner join identities on invoiced.stripe_customer_id = identities.stripe_customer_id
where invoiced.usage_units > 0
