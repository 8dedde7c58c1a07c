-- One row per subscription item and half-open interval [valid_from, valid_to) in which its price and quantity stood
-- still.
-- Why it exists: MRR comes from what was agreed, never from what was billed: a seat added on the 16th for a 25 USD
-- prorated invoice is 50 USD of MRR from the 16th on.
-- Hazard: the first observation of a subscription can come after its start (the first invoices are older than the
-- first extract); the first known state then reaches back to the start.

with

observed as (

    select * from {{ ref('int_subscription_items__observed') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

-- one word per item and second: the most exact evidence; its id breaks ties so that the pick is repeatable
decided as (

    select
        *,
        min(observed_at) over (partition by stripe_subscription_id) as subscription_observed_at
    from observed
    qualify row_number() over (
        partition by stripe_subscription_id, subscription_item_id, observed_at
        order by evidence_rank asc, evidence_id desc
    ) = 1

),

compared as (

    select
        decided.*,
        lag(decided.price_id) over item_in_time as previous_price_id,
        lag(decided.quantity) over item_in_time as previous_quantity
    from decided
    window item_in_time as (
        partition by decided.stripe_subscription_id, decided.subscription_item_id
        order by decided.observed_at
    )

),

-- only what changes something begins an interval
changes as (

    select
        compared.*,
        case
            when
                compared.observed_at = compared.subscription_observed_at
                and subscriptions.started_at < compared.observed_at
                then subscriptions.started_at
            else compared.observed_at
        end as valid_from
    from compared
    left join subscriptions on compared.stripe_subscription_id = subscriptions.stripe_subscription_id
    where
        compared.previous_price_id is null
        or compared.previous_price_id != compared.price_id
        or compared.previous_quantity != compared.quantity

),

-- each change holds until the next
historized as (

    select
        stripe_subscription_id,
        subscription_item_id,
        price_id,
        quantity,
        evidence,
        evidence_id,
        valid_from,
        lead(valid_from) over (
            partition by stripe_subscription_id, subscription_item_id
            order by valid_from
        ) as valid_to
    from changes

)

select * from historized
where quantity > 0
