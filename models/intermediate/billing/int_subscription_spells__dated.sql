-- One row per subscription, kind of spell and half-open interval [valid_from, valid_to) in which it was in that
-- condition.
-- Kinds: lifetime, trial, free_time, past_due, unpaid, paused, cancellation_scheduled. They overlap; what they mean for
-- MRR is decided in int_subscription_segments__cut.
-- Why it exists: the vendor shows one status, the present one. When each condition began and ended is read from what
-- does not change any more: the subscription's own times, its invoices, and events where we have them.
-- Hazard: a subscription whose object was deleted at the vendor must still end, or its customer never churns; it is
-- known from its invoices and ends with the last period that was billed.

with

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

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

items as (

    select * from {{ ref('int_subscription_items__historized') }}

),

-- from when to when was each subscription in force? one that was never paid in (incomplete) never was
lifetimes as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        currency,
        'lifetime' as spell,
        started_at as valid_from,
        ended_at as valid_to
    from subscriptions
    where subscription_status not in ('incomplete', 'incomplete_expired')

),

deletions as (

    select
        object_id as stripe_subscription_id,
        min(occurred_at) as deleted_at
    from {{ ref('stg_stripe__events') }}
    where event_type = 'customer.subscription.deleted'
    group by object_id

),

-- how long did a subscription live that the vendor deleted? its lines are all that is left of it
lost_lifetimes as (

    select
        lines.stripe_subscription_id,
        max(lines.stripe_customer_id) as stripe_customer_id,
        max(invoices.currency) as currency,
        'lifetime' as spell,
        min(lines.period_starts_at) as valid_from,
        coalesce(min(deletions.deleted_at), max(lines.period_ends_at)) as valid_to
    from lines
    inner join invoices on lines.invoice_id = invoices.invoice_id
    left join {{ ref('base_stripe__subscriptions') }} as known
        on lines.stripe_subscription_id = known.stripe_subscription_id
    left join deletions on lines.stripe_subscription_id = deletions.stripe_subscription_id
    where
        lines.stripe_subscription_id is not null
        and known.stripe_subscription_id is null
        and invoices.invoice_status != 'draft'
        and lines.period_ends_at > lines.period_starts_at
    group by lines.stripe_subscription_id

),

first_payments as (

    select
        stripe_subscription_id,
        min(paid_at) as first_paid_at
    from invoices
    where invoice_status = 'paid' and amount_paid_minor > 0
    group by stripe_subscription_id

),

-- free time before the first payment is a trial; free time after it is an offer to somebody who already pays
trials as (

    select
        subscriptions.stripe_subscription_id,
        case
            when first_payments.first_paid_at < coalesce(subscriptions.trial_starts_at, subscriptions.started_at)
                then 'free_time'
            else 'trial'
        end as spell,
        coalesce(subscriptions.trial_starts_at, subscriptions.started_at) as valid_from,
        subscriptions.trial_ends_at as valid_to
    from subscriptions
    left join first_payments
        on subscriptions.stripe_subscription_id = first_payments.stripe_subscription_id
    where subscriptions.trial_ends_at is not null or subscriptions.subscription_status = 'trialing'

),

-- which invoices were not paid at once? charged ones fail first when they are finalized, sent ones when they fall
-- due; a second attempt, or an attempt that left something open, proves the failure
failed_invoices as (

    select
        invoice_id,
        stripe_subscription_id,
        case
            when collected_when_due then due_at
            else coalesce(finalized_at, created_at)
        end as failed_at,
        case invoice_status
            when 'paid' then paid_at
            when 'void' then voided_at
        end as settled_at
    from (
        select
            invoices.*,
            invoices.due_at is not null
            and invoices.due_at > coalesce(invoices.finalized_at, invoices.created_at) as collected_when_due
        from invoices
        where
            invoices.stripe_subscription_id is not null
            and invoices.invoice_status in ('open', 'paid', 'uncollectible', 'void')
            and invoices.total_minor > 0
    ) as finalized
    where
        (not collected_when_due and invoice_status = 'paid' and attempt_count > 1)
        or (not collected_when_due and invoice_status != 'paid' and attempt_count > 0)
        or (collected_when_due and coalesce(paid_at, voided_at, {{ as_of() }}) > due_at)

),

-- what was written off ends with the next invoice that was paid, if ever
past_due as (

    select
        failed_invoices.stripe_subscription_id,
        'past_due' as spell,
        failed_invoices.failed_at as valid_from,
        coalesce(failed_invoices.settled_at, min(later.paid_at)) as valid_to
    from failed_invoices
    left join invoices as later
        on
            failed_invoices.stripe_subscription_id = later.stripe_subscription_id
            and later.invoice_status = 'paid'
            and later.amount_paid_minor > 0
            and failed_invoices.failed_at < later.created_at
    group by
        failed_invoices.invoice_id,
        failed_invoices.stripe_subscription_id,
        failed_invoices.failed_at,
        failed_invoices.settled_at

),

-- the conditions that only snapshots show, one row per event in time
snapshot_conditions as (

    select
        stripe_subscription_id,
        seen_at,
        pause_behavior is not null or subscription_status = 'paused' as is_paused,
        subscription_status = 'unpaid' as is_unpaid,
        lead(seen_at) over (
            partition by stripe_subscription_id
            order by seen_at, snapshot_id
        ) as next_seen_at
    from snapshots
    where not is_present

),

-- from one snapshot to the next, what held?
observed_spells as (

    select
        stripe_subscription_id,
        'paused' as spell,
        seen_at as valid_from,
        next_seen_at as valid_to
    from snapshot_conditions
    where is_paused

    union all

    select
        stripe_subscription_id,
        'unpaid' as spell,
        seen_at as valid_from,
        next_seen_at as valid_to
    from snapshot_conditions
    where is_unpaid

),

-- a regular invoice that nobody tried to collect covers a period in which collection was paused
uncollected_periods as (

    select
        invoices.stripe_subscription_id,
        'paused' as spell,
        min(lines.period_starts_at) as valid_from,
        max(lines.period_ends_at) as valid_to
    from invoices
    inner join lines on invoices.invoice_id = lines.invoice_id
    where
        invoices.billing_reason = 'subscription_cycle'
        and invoices.total_minor > 0
        and invoices.attempt_count = 0
        and not lines.is_proration
        and (
            invoices.invoice_status in ('void', 'uncollectible')
            or (invoices.invoice_status = 'draft' and invoices.created_at < {{ dbt.dateadd('day', -2, as_of()) }})
        )
    group by invoices.invoice_id, invoices.stripe_subscription_id

),

pauses_by_invoice as (

    select uncollected_periods.*
    from uncollected_periods
    -- events that speak about the same time know it to the second
    left join snapshot_conditions
        on
            uncollected_periods.stripe_subscription_id = snapshot_conditions.stripe_subscription_id
            and snapshot_conditions.is_paused
            and uncollected_periods.valid_to > snapshot_conditions.seen_at
            and coalesce(snapshot_conditions.next_seen_at, {{ as_of() }}) > uncollected_periods.valid_from
    where snapshot_conditions.stripe_subscription_id is null

),

-- the present object is paused or unpaid and no event says since when: since the last dated state of what was sold, or
-- since the first failure of what is still owed
last_changes as (

    select
        stripe_subscription_id,
        max(valid_from) as last_changed_at
    from items
    group by stripe_subscription_id

),

last_failures as (

    select
        stripe_subscription_id,
        max(valid_from) as last_failed_at
    from past_due
    group by stripe_subscription_id

),

last_pauses as (

    select
        stripe_subscription_id,
        max(valid_from) as last_paused_at
    from pauses_by_invoice
    group by stripe_subscription_id

),

-- since when is it as it is now? where no event says, what last failed or changed dates it
present_conditions as (

    select
        subscriptions.stripe_subscription_id,
        case when subscriptions.subscription_status = 'unpaid' then 'unpaid' else 'paused' end as spell,
        case
            when subscriptions.subscription_status = 'unpaid'
                then coalesce(last_failures.last_failed_at, subscriptions.started_at)
            else coalesce(pauses.last_paused_at, last_changes.last_changed_at, subscriptions.started_at)
        end as valid_from,
        subscriptions.ended_at as valid_to
    from subscriptions
    left join last_changes
        on subscriptions.stripe_subscription_id = last_changes.stripe_subscription_id
    left join last_failures
        on subscriptions.stripe_subscription_id = last_failures.stripe_subscription_id
    left join last_pauses as pauses
        on subscriptions.stripe_subscription_id = pauses.stripe_subscription_id
    left join snapshot_conditions
        on
            subscriptions.stripe_subscription_id = snapshot_conditions.stripe_subscription_id
            and snapshot_conditions.next_seen_at is null
            and (snapshot_conditions.is_paused or snapshot_conditions.is_unpaid)
    where
        snapshot_conditions.stripe_subscription_id is null
        and subscriptions.ended_at is null
        and (
            subscriptions.pause_behavior is not null
            or subscriptions.subscription_status in ('paused', 'unpaid')
        )

),

-- the customer has said that it will end, and it has not ended yet
scheduled_cancellations as (

    select
        stripe_subscription_id,
        'cancellation_scheduled' as spell,
        cancelled_at as valid_from,
        coalesce(ended_at, cast(null as timestamp)) as valid_to
    from subscriptions
    where
        cancelled_at is not null
        and (
            is_cancelled_at_period_end
            or cancels_at is not null
            or ended_at > cancelled_at
        )

),

unioned as (

    select * from lifetimes
    union all
    select * from lost_lifetimes

),

conditions as (

    select * from trials
    union all
    select * from past_due
    union all
    select * from observed_spells
    union all
    select * from pauses_by_invoice
    union all
    select * from present_conditions
    union all
    select * from scheduled_cancellations

),

-- no condition lasts beyond the life of its subscription
with_customer as (

    select * from unioned

    union all

    select
        conditions.stripe_subscription_id,
        unioned.stripe_customer_id,
        unioned.currency,
        conditions.spell,
        greatest(conditions.valid_from, unioned.valid_from) as valid_from,
        case
            when conditions.valid_to is null then unioned.valid_to
            when unioned.valid_to is null then conditions.valid_to
            else least(conditions.valid_to, unioned.valid_to)
        end as valid_to
    from conditions
    inner join unioned on conditions.stripe_subscription_id = unioned.stripe_subscription_id

)

select *
from with_customer
where
    valid_from < {{ as_of() }}
    and (valid_to is null or valid_to > valid_from)
