-- One row per attribution rule, channel (and 'all' under `first`) and acquisition week with customers or spend: the
-- units that are resampled for everything with spend in it.
-- Why weeks: spend and the number of customers it brings go up and down together from week to week; resampling
-- customers alone takes both as given and gives intervals for a ratio that are far too narrow.
-- The cohort that a cost is about are the mature weeks, with or without customers, with or without spend; what a
-- customer is worth is known from all weeks.
-- Hazard: parts are whole numbers of a ten-millionth of the channel's total, held as doubles: sums of them and of their
-- products are exact in any order.

{% set unit = 10000000 %}

with

credits as (

    select * from {{ ref('int_acquisition_credits__split') }}

),

customer_values as (

    select * from {{ ref('int_customer_values__scored') }}

),

ltv as (

    select * from {{ ref('int_channel_ltv__valued') }}

),

spend as (

    select * from {{ ref('int_spend__weekly') }}

),

lags as (

    select * from {{ ref('int_acquisition_lags__completed') }}

),

-- what is each credited customer worth? under `all`, the mean of the company as the customer moves it
valued_credits as (

    select
        credits.attribution,
        credits.channel,
        credits.week,
        credits.is_mature,
        credits.share_millionths,
        customer_values.value_cents
    from credits
    left join customer_values on credits.customer_id = customer_values.customer_id
    union all
    select
        'first' as attribution,
        'all' as channel,
        credits.week,
        credits.is_mature,
        credits.share_millionths,
        round(ltv.ltv_cents * (1 + customer_values.influence_on_all / 10000.0)) as value_cents
    from credits
    left join customer_values on credits.customer_id = customer_values.customer_id
    left join ltv on ltv.channel = 'all'
    where credits.attribution = 'first'

),

spent as (

    select
        channel,
        week,
        spend_cents,
        paid_spend_cents
    from spend
    union all
    select
        'all' as channel,
        week,
        sum(spend_cents) as spend_cents,
        sum(paid_spend_cents) as paid_spend_cents
    from spend
    group by week

),

-- millionths of customers and of cents; sums of whole numbers
worth as (

    select
        attribution,
        channel,
        week,
        sum(share_millionths) as customers,
        sum(case when is_mature then share_millionths else 0 end) as cohort_customers,
        {{ ordered_sum(
            'cast(share_millionths as double) * value_cents',
            'value_cents, share_millionths'
        ) }} as value_cents
    from valued_credits
    group by attribution, channel, week

),

rules as (

    select distinct attribution from credits

),

-- a channel's spend is the same under every rule
cost as (

    select
        rules.attribution,
        spent.channel,
        spent.week,
        case when {{ is_mature_week('spent.week') }} then spent.spend_cents else 0 end as cohort_spend_cents,
        case when {{ is_mature_week('spent.week') }} then spent.paid_spend_cents else 0 end as cohort_paid_spend_cents
    from spent
    inner join rules on spent.channel != 'all' or rules.attribution = 'first'

),

-- weeks with customers and no spend, or spend and no customers, are weeks, too
weeks as (

    select
        coalesce(worth.attribution, cost.attribution) as attribution,
        coalesce(worth.channel, cost.channel) as channel,
        coalesce(worth.week, cost.week) as week,
        coalesce(worth.customers, 0) / 1000000.0 as customers,
        coalesce(worth.cohort_customers, 0) / 1000000.0 as cohort_customers,
        coalesce(worth.value_cents, 0) / 1000000.0 as value_cents,
        cast(coalesce(cost.cohort_spend_cents, 0) as double) as cohort_spend_cents,
        cast(coalesce(cost.cohort_paid_spend_cents, 0) as double) as cohort_paid_spend_cents
    from worth
    full outer join cost
        on
            worth.attribution = cost.attribution
            and worth.channel = cost.channel
            and worth.week = cost.week

),

-- how many the cohort will have when everybody who is going to buy has bought
completed as (

    select
        weeks.*,
        weeks.cohort_customers / coalesce(lags.share_bought, 1) as expected_cohort_customers
    from weeks
    left join lags
        on
            floor({{ dbt.datediff('weeks.week', 'cast(' ~ as_of() ~ ' as date)', 'day') }} / 7.0)
            = lags.weeks_since_touch

),

totals as (

    select
        attribution,
        channel,
        {{ ordered_sum('customers', 'week') }} as customers,
        {{ ordered_sum('cohort_customers', 'week') }} as cohort_customers,
        {{ ordered_sum('value_cents', 'week') }} as value_cents,
        sum(cohort_spend_cents) as cohort_spend_cents,
        sum(cohort_paid_spend_cents) as cohort_paid_spend_cents
    from weeks
    group by attribution, channel

)

select
    completed.*,
    {{ unit_key("'week:' || cast(completed.week as " ~ dbt.type_string() ~ ")") }} as unit_key,
    cast(case when {{ is_mature_week('completed.week') }} then 1 else 0 end as double) as is_mature,
    round({{ unit }} * completed.customers / nullif(totals.customers, 0)) as customer_part,
    round({{ unit }} * completed.cohort_customers / nullif(totals.cohort_customers, 0)) as cohort_part,
    round({{ unit }} * completed.cohort_spend_cents / nullif(totals.cohort_spend_cents, 0)) as spend_part,
    round({{ unit }} * completed.cohort_paid_spend_cents / nullif(totals.cohort_paid_spend_cents, 0)) as paid_part,
    -- how much more its customers are worth than as many of the channel's
    round(
        {{ unit }} * (
            completed.value_cents / nullif(totals.value_cents, 0) - completed.customers / nullif(totals.customers, 0)
        )
    ) as value_deviation
from completed
inner join totals
    on
        completed.attribution = totals.attribution
        and completed.channel = totals.channel
