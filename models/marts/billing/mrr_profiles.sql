-- One row per reporting month and tool: what the company's MRR would be if that tool's rules (mrr_rule_profiles) were
-- applied to the same subscriptions, beside ours.
-- Why it exists: everybody compares. mrr_differences says which customers and which rules the difference consists of,
-- to the cent.
-- Hazard: this is our reading of what a tool publishes about itself, not its output; rules that the page cannot follow
-- (affects = stated_only) are named there and are not in these numbers.

with

recut as (

    select * from {{ ref('int_mrr__recut') }}
    where is_final

),

bridged as (

    select * from {{ ref('int_mrr__bridged') }}

),

reactivation_rules as (

    select
        profile,
        rule_value
    from {{ ref('mrr_rule_profiles') }}
    where rule_id = 'reactivation'

),

-- who came, came back or left, by the tool's own count of customers
activity as (

    select
        recut.*,
        coalesce(
            lag(recut.month) over customer_in_time = {{ dbt.dateadd('month', -1, 'recut.month') }}, false
        ) as was_active,
        lag(recut.month) over customer_in_time is not null as was_ever_active,
        lead(recut.month) over customer_in_time as next_active_month
    from recut
    where recut.is_active
    window customer_in_time as (partition by recut.profile, recut.customer_id order by recut.month)

),

balances as (

    select
        profile,
        month,
        sum(closing_mrr) as closing_mrr
    from recut
    group by profile, month

),

-- who came, and who came back, by the tool's own rule of coming back?
arrivals as (

    select
        activity.profile,
        activity.month,
        count(*) as customers,
        count(*) filter (
            where
            not activity.was_active
            and (not activity.was_ever_active or reactivation_rules.rule_value = 'as_new')
        ) as new_customers,
        count(*) filter (
            where
            not activity.was_active
            and activity.was_ever_active
            and reactivation_rules.rule_value != 'as_new'
        ) as reactivated_customers
    from activity
    inner join reactivation_rules on activity.profile = reactivation_rules.profile
    group by activity.profile, activity.month

),

departures as (

    select
        profile,
        cast({{ dbt.dateadd('month', 1, 'month') }} as date) as month,
        count(*) as churned_customers
    from activity
    where next_active_month is null or next_active_month != {{ dbt.dateadd('month', 1, 'month') }}
    group by profile, month

),

ours as (

    select
        month,
        bool_or(is_open_month) as is_open_month,
        sum(closing_mrr) as closing_mrr,
        count(*) filter (where closing_mrr > 0) as customers,
        count(*) filter (where movement = 'new') as new_customers,
        count(*) filter (where movement = 'reactivation') as reactivated_customers,
        count(*) filter (where movement = 'churn') as churned_customers
    from bridged
    group by month

),

-- every tool's figures beside ours, in months without any as zero
profiles as (

    select
        'ours' as profile,
        month,
        closing_mrr,
        customers,
        new_customers,
        reactivated_customers,
        churned_customers
    from ours

    union all

    select
        reactivation_rules.profile,
        ours.month,
        coalesce(balances.closing_mrr, 0) as closing_mrr,
        coalesce(arrivals.customers, 0) as customers,
        coalesce(arrivals.new_customers, 0) as new_customers,
        coalesce(arrivals.reactivated_customers, 0) as reactivated_customers,
        coalesce(departures.churned_customers, 0) as churned_customers
    from ours
    inner join reactivation_rules on reactivation_rules.profile != 'ours'
    left join balances
        on
            ours.month = balances.month
            and reactivation_rules.profile = balances.profile
    left join arrivals
        on
            ours.month = arrivals.month
            and reactivation_rules.profile = arrivals.profile
    left join departures
        on
            ours.month = departures.month
            and reactivation_rules.profile = departures.profile

)

select
    profiles.month,
    cast(profiles.profile as varchar) as profile,
    ours.is_open_month,
    cast(profiles.closing_mrr as decimal(18, 2)) as closing_mrr,
    cast(ours.closing_mrr as decimal(18, 2)) as our_closing_mrr,
    cast(profiles.closing_mrr - ours.closing_mrr as decimal(18, 2)) as difference,
    cast(profiles.customers as bigint) as customers,
    cast(profiles.new_customers as bigint) as new_customers,
    cast(profiles.reactivated_customers as bigint) as reactivated_customers,
    cast(profiles.churned_customers as bigint) as churned_customers,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from profiles
inner join ours on profiles.month = ours.month
