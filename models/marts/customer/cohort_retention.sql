-- One row per cohort and month since its customers first paid: how many of them still pay, and how much of the revenue
-- they began with is still there, each with its interval.
-- Why it exists: whether later cohorts stay longer, and which channel, plan or habit brings customers who stay.
-- A cohort is everybody who closed a first month as a paying customer, cut by that month, by channel, by the plan or
-- by how often the products were used when that month ended; 'all' is everybody. Retention is where they stand: who
-- left and came back counts again. A month counts for a customer once it has closed, so the customers in a row are
-- those who have been there long enough, and a sum over months of one cohort would count them repeatedly.
-- Intervals: Wilson's for customers. For revenue the ratio of two sums over the same customers, linearised customer by
-- customer, on the logarithmic scale with Student's t; null where fewer than six customers, or none who stayed, leave
-- nothing to estimate it from.
-- Hazard: revenue is in US dollars at the rate of each month, so exchange rates move it.

with

bridge as (

    select
        customer_id,
        month,
        closing_mrr
    from {{ ref('int_mrr__bridged') }}
    where not is_open_month

),

months as (

    select
        customer_id,
        month,
        channel,
        plan_rank,
        observed_until
    from {{ ref('int_customer_months__featured') }}

),

plans as (

    select
        plan,
        plan_rank
    from {{ ref('plans') }}

),

habits as (

    select
        customer_id,
        frequency_band,
        entered_at,
        left_at
    from {{ ref('int_usage_cohorts__held') }}
    where product = 'all'

),

first_months as (

    select
        customer_id,
        min(month) as first_month
    from bridge
    where closing_mrr > 0
    group by customer_id

),

-- what was known about the customer when the first month ended; nobody is moved to another cohort later
begun as (

    select
        first_months.customer_id,
        first_months.first_month,
        months.channel,
        coalesce(plans.plan, 'unknown') as plan,
        coalesce(habits.frequency_band, 'unknown') as frequency_band,
        bridge.closing_mrr as opening_mrr
    from first_months
    inner join bridge
        on
            first_months.customer_id = bridge.customer_id
            and first_months.first_month = bridge.month
    inner join months
        on
            first_months.customer_id = months.customer_id
            and first_months.first_month = months.month
    left join plans on months.plan_rank = plans.plan_rank
    left join habits
        on
            first_months.customer_id = habits.customer_id
            and months.observed_until > habits.entered_at
            and (habits.left_at is null or months.observed_until <= habits.left_at)

),

tenures as (

    select
        begun.*,
        {{ dbt.datediff('begun.first_month', 'bridge.month', 'month') }} as months_since,
        bridge.closing_mrr
    from begun
    inner join bridge
        on
            begun.customer_id = bridge.customer_id
            and begun.first_month <= bridge.month

),

cuts as (

    {% for kind in ['all', 'month', 'channel', 'plan', 'frequency'] %}
    select '{{ kind }}' as cohort_kind
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- the same customers cut in each of the ways
cut as (

    select
        cuts.cohort_kind,
        case cuts.cohort_kind
            when 'all' then 'all'
            when 'month' then cast(tenures.first_month as {{ dbt.type_string() }})
            when 'channel' then tenures.channel
            when 'plan' then tenures.plan
            else tenures.frequency_band
        end as cohort,
        tenures.months_since,
        cast(tenures.opening_mrr as double) as opening_mrr,
        cast(tenures.closing_mrr as double) as closing_mrr
    from tenures
    cross join cuts

),

summed as (

    select
        cohort_kind,
        cohort,
        months_since,
        count(*) as customers,
        sum(case when closing_mrr > 0 then 1 else 0 end) as retained_customers,
        sum(opening_mrr) as opening_mrr,
        sum(closing_mrr) as retained_mrr,
        sum(opening_mrr * opening_mrr) as opening_squares,
        sum(closing_mrr * closing_mrr) as closing_squares,
        sum(opening_mrr * closing_mrr) as products
    from cut
    group by cohort_kind, cohort, months_since

),

rated as (

    select
        *,
        retained_customers / cast(customers as double) as logo_retention,
        retained_mrr / opening_mrr as revenue_retention
    from summed

),

-- each customer's closing less what the cohort's rate would leave of the opening: they sum to zero, their squares give
-- the standard error of the rate
spread as (

    select
        *,
        sqrt(
            greatest(
                0,
                closing_squares
                - 2 * revenue_retention * products
                + revenue_retention * revenue_retention * opening_squares
            )
            * customers / nullif(customers - 1, 0)
        ) / opening_mrr as revenue_retention_se,
        {{ wilson_low('logo_retention', 'customers') }} as logo_retention_low,
        {{ wilson_high('logo_retention', 'customers') }} as logo_retention_high,
        {{ student_t('customers - 1') }} as t
    from rated

),

-- at the beginning everything is there by definition, and no interval is needed
bounded as (

    select
        *,
        case when months_since = 0 then 1 else logo_retention_low end as logo_low,
        case
            when months_since = 0 then 1
            when revenue_retention > 0
                then revenue_retention * exp(-t * revenue_retention_se / revenue_retention)
        end as revenue_low,
        case
            when months_since = 0 then 1
            when revenue_retention > 0
                then revenue_retention * exp(t * revenue_retention_se / revenue_retention)
        end as revenue_high
    from spread

)

select
    cohort_kind,
    cohort,
    cast(months_since as bigint) as months_since,
    cast(customers as bigint) as customers,
    cast(retained_customers as bigint) as retained_customers,
    cast(logo_retention as decimal(9, 4)) as logo_retention,
    cast(logo_low as decimal(9, 4)) as logo_retention_low,
    cast(logo_retention_high as decimal(9, 4)) as logo_retention_high,
    cast(customers as bigint) as logo_retention_n,
    cast(opening_mrr as decimal(18, 2)) as opening_mrr,
    cast(retained_mrr as decimal(18, 2)) as retained_mrr,
    cast(revenue_retention as decimal(18, 4)) as revenue_retention,
    cast(revenue_low as decimal(18, 4)) as revenue_retention_low,
    cast(revenue_high as decimal(18, 4)) as revenue_retention_high,
    cast(customers as bigint) as revenue_retention_n,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from bounded
