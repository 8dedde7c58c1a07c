-- One row per subscription and recurring discount, with the half-open interval [valid_from, valid_to) in which it was
-- in force. Discounts that apply once are not here: they lower one invoice, not what comes every month.
-- Hazard: when a discount runs out or is taken away the vendor drops it from the subscription, and every trace of it
-- is in old invoices and events only. That a later listing misses it is the evidence of its end.

with

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

snapshots as (

    select * from {{ ref('int_subscription_snapshots__unioned') }}

),

coupons as (

    select * from {{ ref('stg_stripe__coupons') }}

),

-- every occasion on which the discounts of a subscription were listed; only renewals list them completely
listings as (

    select
        stripe_subscription_id,
        snapshot_id as listing_id,
        is_present,
        seen_at,
        true as is_complete,
        discounts
    from snapshots
    where discounts is not null

    union all

    select
        stripe_subscription_id,
        invoice_id as listing_id,
        false as is_present,
        created_at as seen_at,
        billing_reason = 'subscription_cycle' as is_complete,
        {{ json_text('discounts', '$') }} as discounts
    from invoices
    where
        discounts is not null
        and stripe_subscription_id is not null
        and invoice_status != 'draft'

),

listed as (

    select
        stripe_subscription_id,
        listing_id,
        is_present,
        seen_at,
        {{ json_elements('discounts') }} as discount
    from listings

),

described as (

    select
        stripe_subscription_id,
        listing_id,
        is_present,
        seen_at,
        coalesce({{ json_text('discount', '$.id') }}, {{ json_scalar('discount') }}) as discount_id,
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
        {{ json_unix_time('discount', '$.start') }} as starts_at,
        {{ json_unix_time('discount', '$.end') }} as ends_at
    from listed

),

-- one row per discount: what it takes off, and when it was seen; a bare id is described by any listing that spells it
-- out
discounts as (

    select
        described.stripe_subscription_id,
        described.discount_id,
        max(described.coupon_id) as coupon_id,
        max(described.percent_off) as percent_off,
        max(described.amount_off_minor) as amount_off_minor,
        max(described.amount_off_currency) as amount_off_currency,
        max(described.coupon_duration) as coupon_duration,
        max(described.duration_in_months) as duration_in_months,
        min(described.starts_at) as starts_at,
        max(described.ends_at) as ends_at,
        min(described.seen_at) as first_seen_at,
        max(described.seen_at) as last_seen_at,
        max(case when described.is_present then 1 else 0 end) = 1 as is_present
    from described
    group by described.stripe_subscription_id, described.discount_id

),

-- the first complete listing after the last sight of it
absences as (

    select
        discounts.stripe_subscription_id,
        discounts.discount_id,
        min(listings.seen_at) as missed_at
    from discounts
    inner join listings
        on
            discounts.stripe_subscription_id = listings.stripe_subscription_id
            and listings.is_complete
            and not listings.is_present
            and discounts.last_seen_at < listings.seen_at
    where not discounts.is_present
    group by discounts.stripe_subscription_id, discounts.discount_id

),

dated as (

    select
        discounts.stripe_subscription_id,
        discounts.discount_id,
        discounts.coupon_id,
        coalesce(discounts.percent_off, coupons.percent_off) as percent_off,
        coalesce(discounts.amount_off_minor, coupons.amount_off_minor) as amount_off_minor,
        lower(coalesce(discounts.amount_off_currency, coupons.currency)) as amount_off_currency,
        coalesce(discounts.coupon_duration, coupons.coupon_duration) as coupon_duration,
        coalesce(discounts.starts_at, discounts.first_seen_at, subscriptions.started_at) as valid_from,
        coalesce(
            discounts.ends_at,
            case
                when coalesce(discounts.coupon_duration, coupons.coupon_duration) = 'repeating'
                    then {{ dbt.dateadd(
                        'month',
                        'cast(coalesce(discounts.duration_in_months, coupons.duration_in_months) as integer)',
                        'coalesce(discounts.starts_at, discounts.first_seen_at, subscriptions.started_at)'
                    ) }}
            end,
            cast('9999-12-31' as timestamp)
        ) as runs_out_at,
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

),

-- it ran out, or a listing missed it before that; gone from a living subscription before it ran out, with no listing
-- that says when, it went with the last sight of it
ended as (

    select
        *,
        least(
            runs_out_at,
            coalesce(
                missed_at,
                case when is_gone and runs_out_at > {{ as_of() }} then last_seen_at end,
                cast('9999-12-31' as timestamp)
            )
        ) as valid_to
    from dated

)

select
    stripe_subscription_id,
    discount_id,
    coupon_id,
    percent_off,
    amount_off_minor,
    amount_off_currency,
    coupon_duration,
    valid_from,
    nullif(valid_to, cast('9999-12-31' as timestamp)) as valid_to
from ended
where
    coupon_duration in ('forever', 'repeating')
    and valid_to > valid_from
