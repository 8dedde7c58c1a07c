-- One row per subscription and discount, with the half-open interval [valid_from, valid_to) in which it was in force
-- and the level it was given at: one item, the whole subscription, or the customer. A coupon that is limited to some
-- products (limited_to_products) takes nothing off items of others.
-- Discounts that apply once are here too (coupon_duration says so): MRR ignores them, other tools do not.
-- Hazard: when a discount runs out or is taken away the vendor drops it from the object that carried it, and every
-- trace of it is in old invoices and events only. That a later listing misses it is the evidence of its end.

with

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

lines as (

    select * from {{ ref('int_invoice_lines__unnested') }}

),

snapshots as (

    select * from {{ ref('int_subscription_snapshots__unioned') }}

),

coupons as (

    select * from {{ ref('stg_stripe__coupons') }}

),

-- every occasion on which the discounts of a subscription were listed; only renewals list them completely, and a list
-- says nothing about discounts of another level
listings as (

    select
        stripe_subscription_id,
        snapshot_id as listing_id,
        'snapshot' as listing,
        is_present,
        seen_at,
        discounts
    from snapshots
    where discounts is not null

    union all

    select
        stripe_subscription_id,
        invoice_id as listing_id,
        case when billing_reason = 'subscription_cycle' then 'renewal' else 'invoice' end as listing,
        false as is_present,
        created_at as seen_at,
        {{ json_text('discounts', '$') }} as discounts
    from invoices
    where
        discounts is not null
        and stripe_subscription_id is not null
        and invoice_status != 'draft'

),

snapshot_items as (

    select
        stripe_subscription_id,
        snapshot_id,
        is_present,
        seen_at,
        {{ json_elements('items') }} as item
    from snapshots

),

-- which discounts does each listing show, and on which level? 1 item, 2 subscription, 3 customer
listed as (

    select
        stripe_subscription_id,
        listing_id,
        is_present,
        seen_at,
        case when listing = 'snapshot' then 2 end as level_rank,
        cast(null as {{ dbt.type_string() }}) as subscription_item_id,
        {{ json_elements('discounts') }} as discount
    from listings

    union all

    select
        stripe_subscription_id,
        snapshot_id as listing_id,
        is_present,
        seen_at,
        1 as level_rank,
        {{ json_text('item', '$.id') }} as subscription_item_id,
        {{ json_elements('item', '$.discounts') }} as discount
    from snapshot_items

    union all

    select
        subscriptions.stripe_subscription_id,
        customers.stripe_customer_id as listing_id,
        true as is_present,
        cast(null as timestamp) as seen_at,
        3 as level_rank,
        cast(null as {{ dbt.type_string() }}) as subscription_item_id,
        customers.discount
    from customers
    inner join subscriptions on customers.stripe_customer_id = subscriptions.stripe_customer_id
    where {{ json_text('customers.discount', '$.id') }} is not null

),

-- an invoice lists what it was lowered by without saying at which level; the discount itself may say so
described as (

    select
        stripe_subscription_id,
        listing_id,
        is_present,
        seen_at,
        coalesce({{ json_text('discount', '$.id') }}, {{ json_scalar('discount') }}) as discount_id,
        coalesce(subscription_item_id, {{ json_text('discount', '$.subscription_item') }}) as subscription_item_id,
        coalesce(
            level_rank,
            case
                when {{ json_text('discount', '$.subscription_item') }} is not null then 1
                when {{ json_text('discount', '$.subscription') }} is not null then 2
                when {{ json_text('discount', '$.customer') }} is not null then 3
            end
        ) as level_rank,
        coalesce(
            {{ json_text('discount', '$.coupon.id') }},
            {{ json_text('discount', '$.source.coupon.id') }},
            {{ json_text('discount', '$.source.coupon') }},
            {{ json_text('discount', '$.coupon') }}
        ) as coupon_id,
        try_cast({{ json_text('discount', '$.coupon.percent_off') }} as decimal(9, 4)) as percent_off,
        try_cast({{ json_text('discount', '$.coupon.amount_off') }} as bigint) as amount_off_minor,
        {{ json_text('discount', '$.coupon.currency') }} as amount_off_currency,
        {{ json_text('discount', '$.coupon.duration') }} as coupon_duration,
        try_cast({{ json_text('discount', '$.coupon.duration_in_months') }} as bigint) as duration_in_months,
        nullif({{ json_text('discount', '$.coupon.applies_to.products') }}, '[]') as limited_to_products,
        {{ json_unix_time('discount', '$.start') }} as starts_at,
        {{ json_unix_time('discount', '$.end') }} as ends_at
    from listed

),

-- one row per discount: what it takes off, and when it was seen; a bare id is described by any listing that spells it
-- out. Nothing said about its level: that of the subscription
discounts as (

    select
        stripe_subscription_id,
        discount_id,
        coalesce(min(level_rank), 2) as level_rank,
        max(subscription_item_id) as subscription_item_id,
        max(coupon_id) as coupon_id,
        max(percent_off) as percent_off,
        max(amount_off_minor) as amount_off_minor,
        max(amount_off_currency) as amount_off_currency,
        max(coupon_duration) as coupon_duration,
        max(duration_in_months) as duration_in_months,
        max(limited_to_products) as limited_to_products,
        min(starts_at) as starts_at,
        max(ends_at) as ends_at,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
        max(case when is_present then 1 else 0 end) = 1 as is_present
    from described
    group by stripe_subscription_id, discount_id

),

-- the first complete listing of its level after the last sight of it
absences as (

    select
        discounts.stripe_subscription_id,
        discounts.discount_id,
        min(listings.seen_at) as missed_at
    from discounts
    inner join listings
        on
            discounts.stripe_subscription_id = listings.stripe_subscription_id
            and not listings.is_present
            and discounts.last_seen_at < listings.seen_at
            and (
                (listings.listing = 'snapshot' and discounts.level_rank < 3)
                or (listings.listing = 'renewal' and discounts.level_rank > 1)
            )
    where not discounts.is_present
    group by discounts.stripe_subscription_id, discounts.discount_id

),

-- what applies once lowers the period of the first invoice that lists it
lowered_periods as (

    select
        described.stripe_subscription_id,
        described.discount_id,
        min_by(lines.period_ends_at, described.seen_at) as period_ends_at
    from described
    inner join lines
        on
            described.listing_id = lines.invoice_id
            and described.stripe_subscription_id = lines.stripe_subscription_id
    where not lines.is_proration
    group by described.stripe_subscription_id, described.discount_id

),

-- from when to when was each given, and what does it take off? what the discount leaves out stands in its coupon
dated as (

    select
        discounts.stripe_subscription_id,
        discounts.discount_id,
        discounts.level_rank,
        discounts.subscription_item_id,
        discounts.coupon_id,
        coalesce(discounts.percent_off, coupons.percent_off) as percent_off,
        coalesce(discounts.amount_off_minor, coupons.amount_off_minor) as amount_off_minor,
        lower(coalesce(discounts.amount_off_currency, coupons.currency)) as amount_off_currency,
        coalesce(discounts.coupon_duration, coupons.coupon_duration) as coupon_duration,
        coalesce(discounts.duration_in_months, coupons.duration_in_months) as duration_in_months,
        coalesce(discounts.limited_to_products, coupons.limited_to_products) as limited_to_products,
        coalesce(discounts.starts_at, discounts.first_seen_at, subscriptions.started_at) as valid_from,
        discounts.ends_at,
        lowered_periods.period_ends_at,
        absences.missed_at,
        not discounts.is_present and subscriptions.ended_at is null as is_gone,
        discounts.last_seen_at
    from discounts
    left join subscriptions on discounts.stripe_subscription_id = subscriptions.stripe_subscription_id
    left join coupons on discounts.coupon_id = coupons.coupon_id
    left join absences
        on
            discounts.stripe_subscription_id = absences.stripe_subscription_id
            and discounts.discount_id = absences.discount_id
    left join lowered_periods
        on
            discounts.stripe_subscription_id = lowered_periods.stripe_subscription_id
            and discounts.discount_id = lowered_periods.discount_id

),

running as (

    select
        *,
        case
            when coupon_duration = 'once'
                then coalesce(period_ends_at, {{ dbt.dateadd('month', 1, 'valid_from') }})
            when ends_at is not null then ends_at
            when coupon_duration = 'repeating'
                then {{ dbt.dateadd('month', 'cast(duration_in_months as integer)', 'valid_from') }}
            else cast('9999-12-31' as timestamp)
        end as runs_out_at
    from dated

),

-- it ran out, or a listing missed it before that; gone from a living subscription before it ran out, with no listing
-- that says when, it went with the last sight of it. What applies once is always gone after its invoice
ended as (

    select
        *,
        case
            when coupon_duration = 'once' then runs_out_at
            else least(
                runs_out_at,
                coalesce(
                    missed_at,
                    case when is_gone and runs_out_at > {{ as_of() }} then last_seen_at end,
                    cast('9999-12-31' as timestamp)
                )
            )
        end as valid_to
    from running

)

select
    stripe_subscription_id,
    discount_id,
    case level_rank when 1 then 'item' when 2 then 'subscription' else 'customer' end as discount_level,
    case when level_rank = 1 then subscription_item_id end as subscription_item_id,
    coupon_id,
    percent_off,
    amount_off_minor,
    amount_off_currency,
    coupon_duration,
    limited_to_products,
    valid_from,
    nullif(valid_to, cast('9999-12-31' as timestamp)) as valid_to
from ended
where
    coupon_duration in ('forever', 'repeating', 'once')
    and valid_to > valid_from
