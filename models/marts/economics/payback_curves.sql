-- One row per channel (and 'all'), acquisition cohort (calendar month of the week of the first touch) and month of
-- tenure: what the cohort cost, and how much of it its customers have brought back by then.
-- Why it exists: payback_months in channel_economics is what a new customer may be expected to do; this is what cohorts
-- did, to be held against it. Customers who left stay in, with nothing.
-- Hazard: the cohort's last months of tenure have been reached by its older customers only. is_complete says that all
-- of them have; sums beyond that are too low.

with

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

tenures as (

    select * from {{ ref('int_customer_tenures__observed') }}

),

spend as (

    select * from {{ ref('int_spend__weekly') }}

),

months_of_tenure as (

    select cast(month_of_tenure as integer) as month_of_tenure
    from (select {{ numbers(0, (economics_setting('ltv_horizon_months') | int) - 1) }} as month_of_tenure) as counted

),

own_cohorts as (

    select
        channel,
        cast(date_trunc('month', week) as date) as cohort_month,
        customer_id,
        first_paid_at
    from acquired

),

-- every customer counts in their channel and in 'all'
customers as (

    select * from own_cohorts
    union all
    select
        'all' as channel,
        cohort_month,
        customer_id,
        first_paid_at
    from own_cohorts

),

cohorts as (

    select
        channel,
        cohort_month,
        count(*) as customers,
        max(first_paid_at) as last_first_paid_at
    from customers
    group by channel, cohort_month

),

cost as (

    select
        channel,
        cast(date_trunc('month', week) as date) as cohort_month,
        sum(spend_cents) as spend_cents
    from spend
    group by channel, cast(date_trunc('month', week) as date)
    union all
    select
        'all' as channel,
        cast(date_trunc('month', week) as date) as cohort_month,
        sum(spend_cents) as spend_cents
    from spend
    group by cast(date_trunc('month', week) as date)

),

brought as (

    select
        customers.channel,
        customers.cohort_month,
        tenures.month_of_tenure,
        count(*) as customers_there,
        sum(tenures.margin_cents) as margin_cents
    from customers
    inner join tenures on customers.customer_id = tenures.customer_id
    group by customers.channel, customers.cohort_month, tenures.month_of_tenure

),

-- every cohort has every month of tenure that its first customer has begun
spined as (

    select
        cohorts.channel,
        cohorts.cohort_month,
        months_of_tenure.month_of_tenure,
        cohorts.customers,
        coalesce(cost.spend_cents, 0) as spend_cents,
        coalesce(brought.customers_there, 0) as customers_there,
        sum(coalesce(brought.margin_cents, 0)) over (
            partition by cohorts.channel, cohorts.cohort_month
            order by months_of_tenure.month_of_tenure
            rows unbounded preceding
        ) as margin_cents,
        {{ dbt.dateadd('month', 'months_of_tenure.month_of_tenure', 'cohorts.last_first_paid_at') }}
        < {{ as_of() }} as is_complete
    from cohorts
    cross join months_of_tenure
    left join cost
        on
            cohorts.channel = cost.channel
            and cohorts.cohort_month = cost.cohort_month
    left join brought
        on
            cohorts.channel = brought.channel
            and cohorts.cohort_month = brought.cohort_month
            and months_of_tenure.month_of_tenure = brought.month_of_tenure
    where {{ dbt.dateadd('month', 'months_of_tenure.month_of_tenure', 'cohorts.cohort_month') }} < {{ as_of() }}

)

select
    channel,
    cohort_month,
    cast(month_of_tenure as bigint) as month_of_tenure,
    cast(customers as bigint) as cohort_customers,
    cast(spend_cents / 100.0 as decimal(18, 2)) as cohort_spend,
    cast(customers_there as bigint) as customers_there,
    cast(margin_cents / 100.0 as decimal(18, 2)) as cumulative_margin,
    cast(margin_cents / 100.0 / customers as decimal(18, 2)) as cumulative_margin_per_customer,
    cast(margin_cents * 1.0 / nullif(spend_cents, 0) as decimal(18, 4)) as paid_back_share,
    spend_cents > 0 and margin_cents >= spend_cents as is_paid_back,
    is_complete,
    'realised' as estimand,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from spined
