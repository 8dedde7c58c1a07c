-- One row per thing a customer did that billing shows: the same five columns as every other silo's behaviours, so that
-- signals can be defined on money as on usage.
-- event_id names the evidence (a billing object and what happened to it) and is the same in every run.
-- Hazard: movements of revenue are customers' movements, not subscriptions'; moving to another subscription is neither
-- churn nor a start.

with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

spells as (

    select * from {{ ref('int_subscription_spells__dated') }}

),

ledger as (

    select * from {{ ref('int_mrr_movements__dated') }}

),

identities as (

    select
        source_record_id as stripe_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

-- revenue that came, went or changed, as behaviours
movements as (

    select
        customer_id,
        case movement
            when 'new' then 'subscription_started'
            when 'reactivation' then 'subscription_reactivated'
            when 'expansion' then 'subscription_expanded'
            when 'contraction' then 'subscription_contracted'
            when 'churn' then 'subscription_churned'
        end as behaviour,
        occurred_at,
        'mrr:' || customer_id || ':' || cast(occurred_at as {{ dbt.type_string() }}) as event_id,
        '{"mrr_before": ' || cast(mrr_before as {{ dbt.type_string() }})
        || ', "mrr_after": ' || cast(mrr_after as {{ dbt.type_string() }}) || '}' as properties
    from ledger

),

-- trials, failed payments and notices, as behaviours when they begin
spell_starts as (

    select
        stripe_customer_id,
        case spell
            when 'trial' then 'trial_started'
            when 'past_due' then 'payment_failed'
            when 'cancellation_scheduled' then 'cancellation_scheduled'
        end as behaviour,
        valid_from as occurred_at,
        'subscription:' || stripe_subscription_id || ':' || spell || ':'
        || cast(valid_from as {{ dbt.type_string() }}) as event_id,
        '{"subscription_id": "' || stripe_subscription_id || '"}' as properties
    from spells
    where spell in ('trial', 'past_due', 'cancellation_scheduled')

),

-- past due that ended because somebody paid
recoveries as (

    select
        spells.stripe_customer_id,
        'payment_recovered' as behaviour,
        spells.valid_to as occurred_at,
        'subscription:' || spells.stripe_subscription_id || ':recovered:'
        || cast(spells.valid_to as {{ dbt.type_string() }}) as event_id,
        '{"subscription_id": "' || spells.stripe_subscription_id || '"}' as properties
    from spells
    -- past due can also end because the subscription does; only a payment at that instant is a recovery
    inner join invoices
        on
            spells.stripe_subscription_id = invoices.stripe_subscription_id
            and spells.valid_to = invoices.paid_at
    where spells.spell = 'past_due'
    group by spells.stripe_customer_id, spells.stripe_subscription_id, spells.valid_to

),

-- a new period that was paid for
renewals as (

    select
        stripe_customer_id,
        'renewal_paid' as behaviour,
        paid_at as occurred_at,
        'invoice:' || invoice_id || ':paid' as event_id,
        '{"invoice_id": "' || invoice_id || '"}' as properties
    from invoices
    where
        billing_reason = 'subscription_cycle'
        and invoice_status = 'paid'
        and amount_paid_minor > 0
        and paid_at is not null

),

of_billing_customers as (

    select * from spell_starts
    union all
    select * from recoveries
    union all
    select * from renewals

),

-- whose behaviour is it? revenue moves by customer, all else by billing customer
resolved as (

    select
        customer_id,
        behaviour,
        occurred_at,
        event_id,
        properties
    from movements

    union all

    select
        identities.customer_id,
        of_billing_customers.behaviour,
        of_billing_customers.occurred_at,
        of_billing_customers.event_id,
        of_billing_customers.properties
    from of_billing_customers
    inner join identities on of_billing_customers.stripe_customer_id = identities.stripe_customer_id

)

select *
from resolved
where occurred_at < {{ as_of() }}
