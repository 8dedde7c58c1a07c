-- One row per customer, reporting month, tool and step: the closing balance when that many of the tool's rules have
-- taken the place of ours, one after the other in the order of mrr_rule_profiles. Step 0 is ours, the last step the
-- tool; is_final marks the tool's own balance.
-- Why it exists: everybody's MRR is a cut through the same states. Changing one rule at a time is what makes the
-- difference a sum of named causes; every step is rounded like the published number, so the sum is exact.
-- Hazard: the cause that a rule is charged with depends on the order (a paused subscription that is also past due is
-- charged to whichever comes first); the order is data. Customers whom no rule touches have the final row only.
{%- set rules = [
    'discount_repeating', 'discount_once', 'free_time', 'past_due_days', 'unpaid', 'paused', 'churn_timing', 'usage',
    'fx_rate', 'free_customers',
] %}

with

profiles as (

    select
        profile,
        rule_id,
        rule_order,
        affects,
        cast(rule_value as {{ dbt.type_string() }}) as rule_value
    from {{ ref('mrr_rule_profiles') }}

),

closed as (

    select * from {{ ref('int_subscription_states__closed') }}
    where customer_id is not null

),

usage as (

    select * from {{ ref('int_usage_revenue__monthly') }}

),

lines as (

    select * from {{ ref('int_invoice_lines__unnested') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- where a tool decides otherwise, in the order in which its rules are put in the place of ours
deviations as (

    select
        theirs.profile,
        theirs.rule_id,
        theirs.rule_value,
        row_number() over (partition by theirs.profile order by theirs.rule_order) as step
    from profiles as theirs
    inner join profiles as ours
        on
            theirs.rule_id = ours.rule_id
            and ours.profile = 'ours'
    where theirs.affects = 'closing_mrr' and theirs.rule_value != ours.rule_value

),

steps as (

    select
        profile,
        step,
        rule_id as changed_rule
    from deviations

    union all

    select distinct
        profile,
        0 as step,
        cast(null as {{ dbt.type_string() }}) as changed_rule
    from profiles
    where profile != 'ours'

),

-- every rule at every step: ours until the tool's has taken its place
settings as (

    select
        steps.profile,
        steps.step,
        steps.changed_rule,
        steps.step = max(steps.step) over (partition by steps.profile) as is_final,
        {%- for rule in rules %}
        max(
            case when ours.rule_id = '{{ rule }}' then coalesce(deviations.rule_value, ours.rule_value) end
        ) as {{ rule }},
        {%- endfor %}
        max(case when theirs.rule_id = 'free_customers' then theirs.rule_value end) as their_free_customers
    from steps
    inner join profiles as ours on ours.profile = 'ours'
    inner join profiles as theirs
        on
            steps.profile = theirs.profile
            and ours.rule_id = theirs.rule_id
    left join deviations
        on
            steps.profile = deviations.profile
            and ours.rule_id = deviations.rule_id
            and steps.step >= deviations.step
    group by steps.profile, steps.step, steps.changed_rule

),

-- when did the period begin that the close lies in? only where it matters which rate that was
period_starts as (

    select
        closed.stripe_subscription_id,
        closed.month,
        max(lines.period_starts_at) as period_starts_at
    from closed
    inner join lines
        on
            closed.stripe_subscription_id = lines.stripe_subscription_id
            and closed.closes_at > lines.period_starts_at
    where
        closed.currency != '{{ var("reporting_currency") }}'
        and not lines.is_proration
        and lines.subscription_item_id is not null
    group by closed.stripe_subscription_id, closed.month

),

facts as (

    select
        closed.*,
        coalesce(usage.usage_units, 0) as usage_units,
        rates.closing_rate,
        coalesce(period_rates.opening_rate, rates.closing_rate) as period_rate
    from closed
    inner join rates
        on
            closed.currency = rates.currency
            and closed.month = rates.month
    left join usage
        on
            closed.stripe_subscription_id = usage.stripe_subscription_id
            and closed.currency = usage.currency
            and closed.month = usage.month
    left join period_starts
        on
            closed.stripe_subscription_id = period_starts.stripe_subscription_id
            and closed.month = period_starts.month
    left join rates as period_rates
        on
            closed.currency = period_rates.currency
            and {{ reporting_month('period_starts.period_starts_at') }} = period_rates.month

),

-- could any rule change what the customer closes the month with?
touched as (

    select
        facts.*,
        max(
            case
                when
                    facts.is_free_time
                    or facts.is_paused
                    or facts.is_unpaid
                    or facts.is_cancellation_scheduled
                    or facts.past_due_since is not null
                    or facts.usage_units > 0
                    or facts.period_rate != facts.closing_rate
                    or facts.recurring_net_units != facts.forever_net_units
                    or facts.recurring_net_units != facts.every_net_units
                    then 1
                else 0
            end
        ) over (partition by facts.customer_id, facts.month) = 1 as is_touched
    from facts

),

judged as (

    select
        touched.customer_id,
        touched.month,
        touched.is_open,
        touched.is_touched,
        touched.minor_unit_digits,
        touched.usage_units,
        touched.listed_units,
        settings.profile,
        settings.step,
        settings.changed_rule,
        settings.is_final,
        settings.usage,
        settings.their_free_customers,
        case
            when touched.is_trial then false
            when touched.is_free_time and settings.free_time = 'excluded' then false
            when touched.is_paused and settings.paused = 'excluded' then false
            when touched.is_unpaid and settings.unpaid = 'excluded' then false
            when touched.is_cancellation_scheduled and settings.churn_timing = 'when_scheduled' then false
            when
                settings.past_due_days != 'unlimited'
                and {{ dbt.dateadd(
                    'day', 'coalesce(try_cast(settings.past_due_days as integer), 0)', 'touched.past_due_since'
                ) }} < touched.closes_at
                then false
            else true
        end as counts,
        case
            when settings.discount_once = 'counted' and settings.discount_repeating = 'counted'
                then touched.every_net_units
            when settings.discount_once = 'counted' then touched.unless_repeating_net_units
            when settings.discount_repeating = 'counted' then touched.recurring_net_units
            else touched.forever_net_units
        end as net_units,
        case
            when settings.fx_rate = 'service_period_start' then touched.period_rate
            else touched.closing_rate
        end as rate
    from touched
    inner join settings on touched.is_touched or settings.is_final

),

summed as (

    select
        customer_id,
        month,
        is_open,
        is_touched,
        profile,
        step,
        changed_rule,
        is_final,
        sum({{ units_at_rate(
            "case when counts then net_units else 0 end + case when usage = 'counted' then usage_units else 0 end",
            'rate',
            'minor_unit_digits'
        ) }}) as closing_rated,
        max(case when counts and listed_units > 0 and their_free_customers = 'active' then 1 else 0 end) = 1
            as has_free_subscription
    from judged
    group by customer_id, month, is_open, is_touched, profile, step, changed_rule, is_final

)

select
    customer_id,
    month,
    profile,
    step,
    changed_rule,
    is_open,
    is_touched,
    is_final,
    closing_rated > 0 or has_free_subscription as is_active,
    {{ rated_units_to_usd('closing_rated') }} as closing_mrr
from summed
