-- One row per moment at which we know what a whole subscription looked like: every event that carries it, and the
-- present object (is_present; its moment is unknown, so it has none).
-- Why it exists: items, pauses and discounts are all read from such snapshots by the same rules.
-- Hazard: events reach back 30 days before the first extract and no further. A subscription without events is normal.

with

events as (

    select * from {{ ref('stg_stripe__events') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

unioned as (

    select
        object_id as stripe_subscription_id,
        stripe_event_id as snapshot_id,
        false as is_present,
        occurred_at as seen_at,
        {{ json_text('object_after', '$.status') }} as subscription_status,
        {{ json_text('object_after', '$.pause_collection.behavior') }} as pause_behavior,
        {{ json_text('object_after', '$.items.data') }} as items,
        {{ json_text('object_after', '$.discounts') }} as discounts
    from events
    where
        event_type like 'customer.subscription.%'
        and event_type != 'customer.subscription.trial_will_end'

    union all

    select
        stripe_subscription_id,
        stripe_subscription_id as snapshot_id,
        true as is_present,
        cast(null as timestamp) as seen_at,
        subscription_status,
        pause_behavior,
        {{ json_text('items', '$.data') }} as items,
        {{ json_text('discounts', '$') }} as discounts
    from subscriptions

)

select * from unioned
