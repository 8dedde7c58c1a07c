-- One row per contradiction between two silos about one customer.
-- Why it exists: each silo can be right by its own rules and still not go together with another. Who reads one number
-- believes it; this is the list of customers for whom one of two numbers must be wrong, for somebody to look at.
-- Hazard: silos learn at different times. Each contradiction has a grace in which it means nothing yet.

with

customers as (

    select
        customer_id,
        customer_name,
        mrr,
        subscription_status,
        first_paid_on,
        last_active_on,
        l7,
        crm_deal_id,
        crm_deal_outcome,
        has_billing,
        has_product
    from {{ ref('customer_lifecycle') }}

),

billing as (

    select
        customer_id,
        service_ends_on
    from {{ ref('int_customer_billing__current') }}

),

deals as (

    select
        deal_id,
        closed_at
    from {{ ref('int_deals__attributed') }}

),

dated as (

    select
        customers.*,
        billing.service_ends_on,
        cast(deals.closed_at as date) as deal_closed_on,
        cast({{ as_of() }} as date) as today
    from customers
    left join billing on customers.customer_id = billing.customer_id
    left join deals on customers.crm_deal_id = deals.deal_id

),

contradictions as (

    -- a week after service ended, somebody who pays for nothing is at work
    select
        customer_id,
        customer_name,
        'churned_but_active' as contradiction,
        'stripe' as silo,
        'product' as other_silo,
        'the subscription is canceled' as says,
        'used on ' || cast(last_active_on as {{ dbt.type_string() }}) as other_says,
        service_ends_on as since_date,
        mrr
    from dated
    where
        subscription_status = 'canceled'
        and l7 > 0
        and last_active_on > {{ dbt.dateadd('day', 7, 'service_ends_on') }}

    union all

    -- two weeks after the deal was won, nobody was billed
    select
        customer_id,
        customer_name,
        'won_but_not_billed' as contradiction,
        'bitrix24' as silo,
        'stripe' as other_silo,
        'the deal is won' as says,
        'knows nobody' as other_says,
        deal_closed_on as since_date,
        mrr
    from dated
    where
        crm_deal_outcome = 'won'
        and not coalesce(has_billing, false)
        and deal_closed_on <= {{ dbt.dateadd('day', -14, 'today') }}

    union all

    -- the deal was lost two weeks ago, and they have paid since before that
    select
        customer_id,
        customer_name,
        'lost_but_paying' as contradiction,
        'bitrix24' as silo,
        'stripe' as other_silo,
        'the deal is lost' as says,
        'paying since ' || cast(first_paid_on as {{ dbt.type_string() }}) as other_says,
        deal_closed_on as since_date,
        mrr
    from dated
    where
        crm_deal_outcome = 'lost'
        and mrr > 0
        and deal_closed_on <= {{ dbt.dateadd('day', -14, 'today') }}

    union all

    -- paid for a month, and the product never saw them
    select
        customer_id,
        customer_name,
        'paying_but_never_seen' as contradiction,
        'stripe' as silo,
        'product' as other_silo,
        'paying since ' || cast(first_paid_on as {{ dbt.type_string() }}) as says,
        'knows nobody' as other_says,
        first_paid_on as since_date,
        mrr
    from dated
    where
        mrr > 0
        and not coalesce(has_product, false)
        and first_paid_on <= {{ dbt.dateadd('day', -30, 'today') }}

)

select
    contradiction,
    customer_id,
    customer_name,
    silo,
    says,
    other_silo,
    other_says,
    since_date,
    mrr,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from contradictions
