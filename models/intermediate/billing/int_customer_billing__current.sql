-- One row per customer that billing knows, as things stand at as_of: the billing columns of customer_lifecycle.
-- Hazard: MRR here is the closing MRR of the open month in mrr_movements, not a second computation; a customer that
-- never paid has no row there and stands at zero.

with

customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

identities as (

    select
        source_record_id as stripe_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

monthly as (

    select * from {{ ref('int_mrr__bridged') }}

),

ledger as (

    select * from {{ ref('int_mrr_movements__dated') }}

),

revenue as (

    select * from {{ ref('int_revenue__netted') }}

),

margins as (

    select * from {{ ref('int_gross_margins__applied') }}

),

usage as (

    select * from {{ ref('int_usage_revenue__monthly') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

known as (

    select
        identities.customer_id,
        count(*) as billing_customers
    from customers
    inner join identities on customers.stripe_customer_id = identities.stripe_customer_id
    group by identities.customer_id

),

-- what holds now; the plan, currency and interval are those of the most valuable subscription, its id breaks ties
present as (

    select
        customer_id,
        stripe_subscription_id,
        state,
        plan,
        currency,
        billing_interval,
        seats,
        row_number() over (
            partition by customer_id
            order by contract_units desc, paused_units desc, seats desc, stripe_subscription_id asc
        ) as value_rank
    from states
    where valid_to is null and customer_id is not null

),

present_seats as (

    select
        customer_id,
        sum(seats) as seats
    from present
    where state in ('active', 'past_due')
    group by customer_id

),

-- when is the next renewal? the earliest end of a running period of a subscription that will go on
period_ends as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        is_cancelled_at_period_end or cancels_at is not null as is_ending,
        {{ json_elements('items', '$.data') }} as item
    from subscriptions
    where ended_at is null and subscription_status not in ('incomplete', 'incomplete_expired', 'canceled')

),

renewals as (

    select
        identities.customer_id,
        min({{ json_unix_time('period_ends.item', '$.current_period_end') }})
        filter (where not period_ends.is_ending) as renews_at,
        min({{ json_unix_time('period_ends.item', '$.current_period_end') }})
        filter (where period_ends.is_ending) as service_ends_at
    from period_ends
    inner join identities on period_ends.stripe_customer_id = identities.stripe_customer_id
    group by identities.customer_id

),

trials as (

    select
        identities.customer_id,
        min(coalesce(subscriptions.trial_starts_at, subscriptions.started_at)) as trial_started_at,
        max(subscriptions.trial_ends_at) as trial_ends_at
    from subscriptions
    inner join identities on subscriptions.stripe_customer_id = identities.stripe_customer_id
    where
        subscriptions.trial_ends_at is not null
        and coalesce(subscriptions.trial_starts_at, subscriptions.started_at) < {{ as_of() }}
    group by identities.customer_id

),

-- the last thing that the vendor said about a customer without a running subscription
last_statuses as (

    select
        identities.customer_id,
        max_by(subscriptions.subscription_status, subscriptions.started_at) as subscription_status
    from subscriptions
    inner join identities on subscriptions.stripe_customer_id = identities.stripe_customer_id
    group by identities.customer_id

),

current_month as (

    select *
    from monthly
    where month = {{ reporting_month(as_of() ~ " - interval '1' second") }}

),

-- usage that was invoiced in the last three closed months, per month
recent_usage as (

    select
        usage.customer_id,
        {{ rated_units_to_usd(whole_division(
            'sum(' ~ units_at_rate('usage.usage_units', 'rates.closing_rate', 'usage.minor_unit_digits') ~ ')', '3'
        )) }} as usage_mrr_3m
    from usage
    inner join rates
        on
            usage.currency = rates.currency
            and usage.month = rates.month
    where
        usage.month < {{ reporting_month(as_of()) }}
        and usage.month >= {{ dbt.dateadd('month', -3, reporting_month(as_of())) }}
    group by usage.customer_id

),

last_movements as (

    select
        customer_id,
        max_by(movement, month) as last_movement,
        max(month) as last_movement_month
    from monthly
    where movement != 'none'
    group by customer_id

),

first_payments as (

    select
        customer_id,
        min(occurred_at) as first_paid_at
    from ledger
    where movement = 'new'
    group by customer_id

),

-- what has the customer brought, at the margin that its plan of today had in each month?
realised as (

    select
        revenue.customer_id,
        sum(cast(revenue.net_revenue * margins.gross_margin as decimal(18, 2))) as ltv_realised,
        sum(revenue.net_revenue) as net_revenue,
        sum(revenue.refunds) as refunds
    from revenue
    left join present
        on
            revenue.customer_id = present.customer_id
            and present.value_rank = 1
    inner join margins
        on
            coalesce(present.plan, '*') = margins.plan
            and revenue.month = margins.month
    where revenue.customer_id is not null
    group by revenue.customer_id

),

joined as (

    select
        ---------- ids
        known.customer_id,

        ---------- strings
        present.plan,
        present.currency,
        present.billing_interval,
        coalesce(present.state, last_statuses.subscription_status) as subscription_status,
        last_movements.last_movement,

        ---------- numerics
        cast(known.billing_customers as bigint) as billing_customers,
        cast(coalesce(present_seats.seats, 0) as bigint) as seats,
        cast(coalesce(current_month.closing_mrr, 0) as decimal(18, 2)) as mrr,
        cast(coalesce(current_month.closing_mrr_contract, 0) as decimal(18, 2)) as mrr_contract,
        cast(coalesce(current_month.closing_mrr, 0) * 12 as decimal(18, 2)) as arr,
        cast(coalesce(recent_usage.usage_mrr_3m, 0) as decimal(18, 2)) as usage_mrr_3m,
        cast(
            (coalesce(current_month.closing_mrr, 0) + coalesce(recent_usage.usage_mrr_3m, 0)) * 12 as decimal(18, 2)
        ) as arr_incl_usage,
        cast(coalesce(current_month.mrr_past_due, 0) as decimal(18, 2)) as mrr_past_due,
        cast(coalesce(current_month.mrr_scheduled_churn, 0) as decimal(18, 2)) as mrr_scheduled_churn,
        cast(coalesce(current_month.mrr_paused, 0) as decimal(18, 2)) as mrr_paused,
        cast(coalesce(realised.ltv_realised, 0) as decimal(18, 2)) as ltv_realised,
        cast(coalesce(realised.net_revenue, 0) as decimal(18, 2)) as net_revenue,
        cast(coalesce(realised.refunds, 0) as decimal(18, 2)) as refunds,
        cast(
            {{ dbt.datediff('cast(' ~ as_of() ~ ' as date)', 'cast(renewals.renews_at as date)', 'day') }} as bigint
        ) as days_to_renewal,

        ---------- dates
        cast(first_payments.first_paid_at as date) as first_paid_on,
        cast(renewals.renews_at as date) as renewal_on,
        cast(renewals.service_ends_at as date) as service_ends_on,
        last_movements.last_movement_month,

        ---------- timestamps
        first_payments.first_paid_at,
        trials.trial_started_at,
        trials.trial_ends_at
    from known
    left join present
        on
            known.customer_id = present.customer_id
            and present.value_rank = 1
    left join present_seats on known.customer_id = present_seats.customer_id
    left join current_month on known.customer_id = current_month.customer_id
    left join recent_usage on known.customer_id = recent_usage.customer_id
    left join renewals on known.customer_id = renewals.customer_id
    left join trials on known.customer_id = trials.customer_id
    left join last_statuses on known.customer_id = last_statuses.customer_id
    left join last_movements on known.customer_id = last_movements.customer_id
    left join first_payments on known.customer_id = first_payments.customer_id
    left join realised on known.customer_id = realised.customer_id

)

select * from joined
