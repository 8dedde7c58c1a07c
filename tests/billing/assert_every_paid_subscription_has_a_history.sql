-- Guards int_subscription_states__historized: a subscription that somebody paid for has a state with an amount. One
-- that is quarantined is excused (it is reported there); any other would be revenue that MRR never sees.

with

paid as (

    select distinct lines.stripe_subscription_id
    from {{ ref('int_invoice_lines__unnested') }} as lines
    inner join {{ ref('int_prices__normalized') }} as prices on lines.price_id = prices.price_id
    where
        lines.invoice_status = 'paid'
        and lines.amount_minor > 0
        and prices.is_licensed
        and lines.period_starts_at < {{ as_of() }}
        and lines.stripe_subscription_id is not null

),

quarantined as (

    select stripe_subscription_id
    from {{ ref('base_stripe__subscriptions') }}
    where row_verdict = 'quarantined'

),

known as (

    select distinct stripe_subscription_id
    from {{ ref('int_subscription_states__historized') }}
    where contract_units > 0 or paused_units > 0 or state = 'unpaid'

)

select paid.stripe_subscription_id
from paid
left join known on paid.stripe_subscription_id = known.stripe_subscription_id
left join quarantined on paid.stripe_subscription_id = quarantined.stripe_subscription_id
where known.stripe_subscription_id is null and quarantined.stripe_subscription_id is null
