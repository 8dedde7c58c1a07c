-- One row per raw subscription as the vendor last showed it, with a verdict.
-- Hazard: this is the present only; what was true before is in invoice lines and events, put together in
-- int_subscription_states__historized. Reading past months from this table gives every month today's price.

with

source as (

    select * from {{ source('stripe', 'subscriptions') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

renamed as (

    select
        ---------- ids
        id as stripe_subscription_id,
        customer as stripe_customer_id,
        latest_invoice as latest_invoice_id,

        ---------- strings
        status as subscription_status,
        lower(currency) as currency,
        collection_method,
        {{ json_text('pause_collection', '$.behavior') }} as pause_behavior,

        ---------- booleans
        coalesce(cancel_at_period_end, false) as is_cancelled_at_period_end,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,
        coalesce({{ unix_to_timestamp('start_date') }}, {{ unix_to_timestamp('created') }}) as started_at,
        {{ unix_to_timestamp('billing_cycle_anchor') }} as billing_cycle_anchor_at,
        {{ unix_to_timestamp('trial_start') }} as trial_starts_at,
        {{ unix_to_timestamp('trial_end') }} as trial_ends_at,
        {{ unix_to_timestamp('cancel_at') }} as cancels_at,
        {{ unix_to_timestamp('canceled_at') }} as cancelled_at,
        case
            when ended_at is null and status = 'canceled' then {{ unix_to_timestamp('canceled_at') }}
            else {{ unix_to_timestamp('ended_at') }}
        end as ended_at,

        ---------- parts kept as JSON
        items,
        discounts,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by stripe_subscription_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

items as (

    select
        stripe_subscription_id,
        copy_rank,
        {{ json_elements('items', '$.data') }} as item
    from ranked

),

-- can every item be priced? an item of a price that was set aside cannot
item_problems as (

    select
        items.stripe_subscription_id,
        items.copy_rank,
        count(*) as item_count,
        count(*) filter (where prices.price_id is null) as unknown_prices,
        count(*) filter (
            where try_cast({{ json_text('items.item', '$.quantity') }} as bigint) not between 0 and 1000000
        ) as bad_quantities
    from items
    left join {{ ref('stg_stripe__prices') }} as prices
        on {{ json_text('items.item', '$.price.id') }} = prices.price_id
    group by items.stripe_subscription_id, items.copy_rank

),

judged as (

    select
        ranked.*,
        case
            when ranked.stripe_subscription_id is null then 'no subscription id'
            when ranked.stripe_customer_id is null then 'no customer id'
            when ranked.started_at is null then 'no start'
            when {{ is_unbelievable_time('ranked.started_at') }}
                then 'started before the company existed or in the future'
            when coalesce(ranked.currency, '') not in (select accepted.currency from accepted) then 'unknown currency'
            when
                coalesce(ranked.subscription_status, '') not in (
                    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'
                )
                then 'unknown status'
            when item_problems.item_count is null then 'no items'
            when item_problems.unknown_prices > 0 then 'unknown product or price'
            when item_problems.bad_quantities > 0 then 'quantity that nobody can buy'
        end as reject_reason
    from ranked
    left join item_problems
        on
            ranked.stripe_subscription_id = item_problems.stripe_subscription_id
            and ranked.copy_rank = item_problems.copy_rank

)

select
    *,
    {{ row_verdict('stripe_subscription_id') }} as row_verdict
from judged
