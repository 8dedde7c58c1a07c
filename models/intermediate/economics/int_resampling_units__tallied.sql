-- One row per channel (and 'all'), way of resampling and unit: everything about the unit that an estimate needs, so
-- that a replicate is a weighted sum over units. Two ways: 'bucket' (customers by the hash of their id; for what a
-- customer is worth) and 'week' (acquisition weeks with their spend and all customers found in them; for what the
-- channel does next).
-- Why weeks: spend and the number of customers it brings go up and down together from week to week; resampling
-- customers alone takes both as given and gives intervals that are far too narrow for a ratio.
-- All columns are whole numbers held as doubles, whose sums are exact in any order below 2^53.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

tenures as (

    select * from {{ ref('int_customer_tenures__observed') }}

),

influences as (

    select * from {{ ref('int_customer_influences__scored') }}

),

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

spend as (

    select * from {{ ref('int_spend__weekly') }}

),

tenure_memberships as (

    select
        channel,
        week,
        bucket,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenures

    union all

    select
        'all' as channel,
        week,
        bucket,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenures

),

acquired_memberships as (

    select
        channel,
        week,
        is_mature
    from acquired

    union all

    select
        'all' as channel,
        week,
        is_mature
    from acquired

),

spend_memberships as (

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
        spend_cents,
        paid_spend_cents
    from spend

),

tenure_units as (

    select
        channel,
        'bucket' as unit_kind,
        cast(bucket as {{ dbt.type_string() }}) as unit,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenure_memberships

    union all

    select
        channel,
        'week' as unit_kind,
        cast(week as {{ dbt.type_string() }}) as unit,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenure_memberships

),

-- one column per month of tenure: there, at risk, lost, margin
by_month as (

    select
        channel,
        unit_kind,
        unit,
        {%- for month in range(horizon) %}
        sum(case when month_of_tenure = {{ month }} then 1.0 else 0 end) as there_{{ month }},
        sum(case when month_of_tenure = {{ month }} and is_at_risk then 1.0 else 0 end) as at_risk_{{ month }},
        sum(case when month_of_tenure = {{ month }} and is_lost then 1.0 else 0 end) as lost_{{ month }},
        sum(case when month_of_tenure = {{ month }} then cast(margin_cents as double) else 0 end) as margin_{{ month }},
        {%- endfor %}
        count(*) as tenure_months
    from tenure_units
    group by channel, unit_kind, unit

),

influence_units as (

    select
        channel,
        'bucket' as unit_kind,
        cast(bucket as {{ dbt.type_string() }}) as unit,
        count(*) as customers,
        sum(cast(influence as double)) as influence,
        sum(cast(influence as double) * influence) as squared_influence
    from influences
    group by channel, bucket

    union all

    select
        channel,
        'week' as unit_kind,
        cast(week as {{ dbt.type_string() }}) as unit,
        count(*) as customers,
        sum(cast(influence as double)) as influence,
        sum(cast(influence as double) * influence) as squared_influence
    from influences
    group by channel, week

),

week_customers as (

    select
        channel,
        week,
        count(*) filter (where is_mature) as cohort_customers
    from acquired_memberships
    group by channel, week

),

week_spend as (

    select
        channel,
        week,
        sum(case when {{ is_mature_week('week') }} then spend_cents else 0 end) as cohort_spend_cents,
        sum(case when {{ is_mature_week('week') }} then paid_spend_cents else 0 end) as cohort_paid_spend_cents
    from spend_memberships
    group by channel, week

),

-- the cohort that the cost of acquisition is about: mature weeks, with or without customers, with or without spend
week_costs as (

    select
        coalesce(week_customers.channel, week_spend.channel) as channel,
        coalesce(week_customers.week, week_spend.week) as week,
        coalesce(week_customers.cohort_customers, 0) as cohort_customers,
        coalesce(week_spend.cohort_spend_cents, 0) as cohort_spend_cents,
        coalesce(week_spend.cohort_paid_spend_cents, 0) as cohort_paid_spend_cents
    from week_customers
    full outer join week_spend
        on
            week_customers.channel = week_spend.channel
            and week_customers.week = week_spend.week

),

units as (

    select
        channel,
        unit_kind,
        unit
    from influence_units

    union

    select
        channel,
        'week' as unit_kind,
        cast(week as {{ dbt.type_string() }}) as unit
    from week_costs

)

select
    units.channel,
    units.unit_kind,
    units.unit,
    {{ unit_key("units.unit_kind || ':' || units.unit") }} as unit_key,
    cast(coalesce(influence_units.customers, 0) as double) as customers,
    coalesce(influence_units.influence, 0.0) as influence,
    coalesce(influence_units.squared_influence, 0.0) as squared_influence,
    cast(coalesce(week_costs.cohort_customers, 0) as double) as cohort_customers,
    cast(coalesce(week_costs.cohort_spend_cents, 0) as double) as cohort_spend_cents,
    cast(coalesce(week_costs.cohort_paid_spend_cents, 0) as double) as cohort_paid_spend_cents,
    -- whole dollars where sums of products are taken
    round(cast(coalesce(week_costs.cohort_spend_cents, 0) as double) / 100) as spend_dollars,
    round(cast(coalesce(week_costs.cohort_paid_spend_cents, 0) as double) / 100) as paid_spend_dollars,
    {%- for month in range(horizon) %}
    coalesce(by_month.there_{{ month }}, 0.0) as there_{{ month }},
    coalesce(by_month.at_risk_{{ month }}, 0.0) as at_risk_{{ month }},
    coalesce(by_month.lost_{{ month }}, 0.0) as lost_{{ month }},
    coalesce(by_month.margin_{{ month }}, 0.0) as margin_{{ month }},
    {%- endfor %}
    coalesce(by_month.tenure_months, 0) as tenure_months,
    coalesce({{ is_mature_week('week_costs.week') }}, false) as is_mature
from units
left join influence_units
    on
        units.channel = influence_units.channel
        and units.unit_kind = influence_units.unit_kind
        and units.unit = influence_units.unit
left join by_month
    on
        units.channel = by_month.channel
        and units.unit_kind = by_month.unit_kind
        and units.unit = by_month.unit
left join week_costs
    on
        units.channel = week_costs.channel
        and units.unit_kind = 'week'
        and units.unit = cast(week_costs.week as {{ dbt.type_string() }})
