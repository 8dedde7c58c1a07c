-- One row per subscription item, moment and piece of evidence that says at which price and in which quantity it was
-- sold from that moment on; quantity 0 says that it was gone.
-- Why it exists: several sources speak about the same item; here they are written down side by side, before anything
-- is decided (evidence_rank, lowest first, decides between two that speak about the same second).
-- Hazard: the present object says what, but not since when. It only counts where it contradicts everything that is
-- dated, and then holds from the last dated state on, so that a later run does not move the date.

with

lines as (

    select * from {{ ref('int_invoice_lines__unnested') }}

),

snapshots as (

    select * from {{ ref('int_subscription_snapshots__unioned') }}

),

prices as (

    select * from {{ ref('int_prices__normalized') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

-- lines of licensed prices, of invoices that were really made out
licensed_lines as (

    select lines.*
    from lines
    inner join prices on lines.price_id = prices.price_id
    where
        prices.is_licensed
        and lines.subscription_item_id is not null
        and lines.period_starts_at is not null

),

-- what does each billed moment say? a full-period line or a debit describes the new state, a lone credit the end; among
-- several of a kind the largest, the line id breaks ties so that the pick is repeatable
line_observations as (

    select
        stripe_subscription_id,
        subscription_item_id,
        period_starts_at as observed_at,
        price_id,
        case when is_proration and amount_minor < 0 then 0 else quantity end as quantity,
        'invoice line' as evidence,
        invoice_line_id as evidence_id,
        2 as evidence_rank
    from licensed_lines
    qualify row_number() over (
        partition by stripe_subscription_id, subscription_item_id, period_starts_at
        order by is_proration asc, amount_minor desc, invoice_line_id desc
    ) = 1

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

snapshot_observations as (

    select
        snapshot_items.stripe_subscription_id,
        {{ json_text('snapshot_items.item', '$.id') }} as subscription_item_id,
        snapshot_items.snapshot_id,
        snapshot_items.is_present,
        snapshot_items.seen_at,
        prices.price_id,
        coalesce(try_cast({{ json_text('snapshot_items.item', '$.quantity') }} as bigint), 1) as quantity
    from snapshot_items
    inner join prices on {{ json_text('snapshot_items.item', '$.price.id') }} = prices.price_id
    where prices.is_licensed

),

billed_items as (

    select
        stripe_subscription_id,
        subscription_item_id,
        max_by(price_id, observed_at) as price_id,
        min(observed_at) as first_observed_at
    from line_observations
    group by stripe_subscription_id, subscription_item_id

),

-- an item that was there before and is missing from a later snapshot was removed by then
removals as (

    select
        snapshots.stripe_subscription_id,
        known.subscription_item_id,
        snapshots.seen_at as observed_at,
        known.price_id,
        0 as quantity,
        'event' as evidence,
        snapshots.snapshot_id as evidence_id,
        1 as evidence_rank
    from snapshots
    inner join billed_items as known
        on
            snapshots.stripe_subscription_id = known.stripe_subscription_id
            and snapshots.seen_at > known.first_observed_at
    left join snapshot_observations as still_there
        on
            snapshots.snapshot_id = still_there.snapshot_id
            and known.subscription_item_id = still_there.subscription_item_id
    where
        not snapshots.is_present
        and still_there.subscription_item_id is null

),

-- everything that says at which instant how much of an item was sold
dated as (

    select
        stripe_subscription_id,
        subscription_item_id,
        observed_at,
        price_id,
        quantity,
        evidence,
        evidence_id,
        evidence_rank
    from line_observations

    union all

    select
        stripe_subscription_id,
        subscription_item_id,
        seen_at as observed_at,
        price_id,
        quantity,
        'event' as evidence,
        snapshot_id as evidence_id,
        1 as evidence_rank
    from snapshot_observations
    where not is_present

    union all

    select
        stripe_subscription_id,
        subscription_item_id,
        observed_at,
        price_id,
        quantity,
        evidence,
        evidence_id,
        evidence_rank
    from removals

),

last_dated as (

    select
        stripe_subscription_id,
        subscription_item_id,
        observed_at,
        price_id,
        quantity
    from dated
    qualify row_number() over (
        partition by stripe_subscription_id, subscription_item_id
        order by observed_at desc, evidence_rank asc, evidence_id desc
    ) = 1

),

-- what the present object says that nothing dated has said
undated as (

    select
        present.stripe_subscription_id,
        present.subscription_item_id,
        coalesce(last_dated.observed_at, subscriptions.started_at) as observed_at,
        present.price_id,
        present.quantity,
        'present object' as evidence,
        present.snapshot_id as evidence_id,
        0 as evidence_rank
    from snapshot_observations as present
    inner join subscriptions on present.stripe_subscription_id = subscriptions.stripe_subscription_id
    left join last_dated
        on
            present.stripe_subscription_id = last_dated.stripe_subscription_id
            and present.subscription_item_id = last_dated.subscription_item_id
    where
        present.is_present
        and (
            last_dated.subscription_item_id is null
            or last_dated.price_id != present.price_id
            or last_dated.quantity != present.quantity
        )

),

billed as (

    select
        stripe_subscription_id,
        subscription_item_id,
        max(period_ends_at) as billed_until
    from licensed_lines
    group by stripe_subscription_id, subscription_item_id

),

-- an item that the present object no longer has, and nothing dated says when it went: it went with the last period that
-- was billed for it
vanished as (

    select
        last_dated.stripe_subscription_id,
        last_dated.subscription_item_id,
        billed.billed_until as observed_at,
        last_dated.price_id,
        0 as quantity,
        'present object' as evidence,
        last_dated.stripe_subscription_id as evidence_id,
        0 as evidence_rank
    from last_dated
    inner join subscriptions on last_dated.stripe_subscription_id = subscriptions.stripe_subscription_id
    inner join billed
        on
            last_dated.stripe_subscription_id = billed.stripe_subscription_id
            and last_dated.subscription_item_id = billed.subscription_item_id
    left join snapshot_observations as present
        on
            last_dated.stripe_subscription_id = present.stripe_subscription_id
            and last_dated.subscription_item_id = present.subscription_item_id
            and present.is_present
    where
        present.subscription_item_id is null
        and last_dated.quantity > 0

),

observed as (

    select * from dated
    union all
    select * from undated
    union all
    select * from vanished

)

select observed.*
from observed
inner join prices on observed.price_id = prices.price_id
-- evidence of a sale that nobody can make (a mistake of the source) is not evidence
where
    observed.quantity between 0 and {{ economics_setting('largest_believable_quantity') }}
    and observed.quantity * coalesce(prices.unit_amount_minor, 0) <= {{ largest_believable_minor_amount() }}
