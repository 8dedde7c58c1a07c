-- One row per customer and reporting month with money received or given back: net revenue without tax, in US dollars.
-- Why it exists: realised value is cash, not MRR. Annual prepayments count in the month they were paid here; whoever
-- wants revenue by month of service reads mrr_movements.
-- Hazard: invoice totals contain tax, payments pay a part of it; the part without tax is the payment's share of the
-- total.

with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

refunds as (

    select * from {{ ref('stg_stripe__refunds') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

identities as (

    select
        source_record_id as stripe_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

-- what came in, net of tax, and what was given back?
flows as (

    select
        stripe_customer_id,
        currency,
        paid_at as flowed_at,
        cast(amount_paid_minor as double) * total_excluding_tax_minor / nullif(total_minor, 0) as net_minor,
        cast(0 as double) as refunded_minor
    from invoices
    where invoice_status = 'paid' and amount_paid_minor > 0 and paid_at < {{ as_of() }}

    union all

    select
        stripe_customer_id,
        currency,
        created_at as flowed_at,
        -cast(amount_minor as double) as net_minor,
        cast(amount_minor as double) as refunded_minor
    from refunds
    where refund_status in ('succeeded', 'pending') and created_at < {{ as_of() }}

),

-- every flow is rounded to the cent before it is added, so that sums do not depend on their order
converted as (

    select
        identities.customer_id,
        {{ reporting_month('flows.flowed_at') }} as month,
        cast(
            flows.net_minor / power(10, currencies.minor_unit_digits) * cast(rates.closing_rate as double)
            as decimal(18, 2)
        ) as net_revenue,
        cast(
            flows.refunded_minor / power(10, currencies.minor_unit_digits) * cast(rates.closing_rate as double)
            as decimal(18, 2)
        ) as refunds
    from flows
    inner join currencies on flows.currency = currencies.currency
    inner join rates
        on
            flows.currency = rates.currency
            and {{ reporting_month('flows.flowed_at') }} = rates.month
    left join identities on flows.stripe_customer_id = identities.stripe_customer_id

)

select
    customer_id,
    month,
    cast(sum(net_revenue) as decimal(18, 2)) as net_revenue,
    cast(sum(refunds) as decimal(18, 2)) as refunds
from converted
group by customer_id, month
