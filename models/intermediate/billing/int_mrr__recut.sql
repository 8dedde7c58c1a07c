-- One row per customer, reporting month, tool and step: the closing balance when that many of the tool's rules have
-- taken the place of ours, one after the other in the order of mrr_rule_profiles. Step 0 is ours, the last step the
-- tool; is_final marks the tool's own balance.
-- Why it exists: everybody's MRR is a cut through the same states. Changing one rule at a time is what makes the
-- difference a sum of named causes; every step is rounded like the published number, so the sum is exact.
-- Hazard: the cause that a rule is charged with depends on the order (a paused subscription that is also past due is
-- charged to whichever comes first); the order is data. Customers whom no rule touches have the final row only.
{% set rules = [
    'discount_repeating', 'discount_once', 'free_time', 'past_due_days', 'unpaid', 'paused', 'churn_timing', 'usage',
    'fx_rate', 'proration', 'free_customers', 'refunds',
] %}
{% set views = ['recurring', 'forever', 'every', 'unless_repeating'] %}

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

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

prices as (

    select * from {{ ref('int_prices__normalized') }}

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

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

refunds as (

    select * from {{ ref('stg_stripe__refunds') }}

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

-- the facts under our rules (step 0), and then with one rule of the tool more at each step
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

-- what each change within a period comes to when its prorated invoice lines are taken for it: their amounts, net of
-- discounts as the vendor writes them, over the time they cover, times the time of the whole period. A change that
-- begins a new period has a line for all of it, which is what it is worth anyway
prorated as (

    select
        lines.stripe_subscription_id,
        lines.period_starts_at as changed_at,
        max(lines.period_ends_at) as period_ends_at,
        sum(
            {{ whole_division(
                monthly_units(
                    'cast(lines.amount_minor as decimal(18, 4))', 'prices.billing_interval', 'prices.interval_count'
                ) ~ " * case prices.billing_interval
                    when 'day' then 86400 * prices.interval_count
                    when 'week' then 604800 * prices.interval_count
                    else " ~ dbt.datediff(
                        dbt.dateadd(
                            'month',
                            "-prices.interval_count * case prices.billing_interval when 'year' then 12 else 1 end",
                            'lines.period_ends_at'
                        ),
                        'lines.period_ends_at', 'second'
                    ) ~ " end",
                "greatest(" ~ dbt.datediff('lines.period_starts_at', 'lines.period_ends_at', 'second') ~ ", 1)"
            ) }}
        ) as scaled_units
    from lines
    inner join prices on lines.price_id = prices.price_id
    where prices.is_licensed and lines.invoice_status in ('open', 'paid', 'uncollectible')
    group by lines.stripe_subscription_id, lines.period_starts_at
    having min(case when lines.is_proration then 1 else 0 end) = 1

),

changes as (

    select
        stripe_subscription_id,
        {%- for view in views %}
        {{ view }}_net_units - lag({{ view }}_net_units) over subscription_in_time as {{ view }}_change,
        {%- endfor %}
        valid_from as changed_at
    from states
    window subscription_in_time as (partition by stripe_subscription_id order by valid_from)

),

-- from the change to the end of its period: what the lines make of it instead of the state
proration_effects as (

    select
        closed.stripe_subscription_id,
        {%- for view in views %}
        sum(prorated.scaled_units - changes.{{ view }}_change) as {{ view }}_proration,
        {%- endfor %}
        closed.month
    from closed
    inner join prorated
        on
            closed.stripe_subscription_id = prorated.stripe_subscription_id
            and closed.closes_at > prorated.changed_at
            and closed.closes_at <= prorated.period_ends_at
    inner join changes
        on
            prorated.stripe_subscription_id = changes.stripe_subscription_id
            and prorated.changed_at = changes.changed_at
    group by closed.stripe_subscription_id, closed.month

),

-- what a refund gave back: the vendor no longer says which invoice a charge had paid, so it is the customer's last one
-- before that was paid with at least as much
repaid as (

    select
        refunds.refund_id,
        refunds.amount_minor,
        refunds.created_at as refunded_at,
        invoices.invoice_id,
        invoices.amount_paid_minor
    from refunds
    inner join invoices
        on
            refunds.stripe_customer_id = invoices.stripe_customer_id
            and refunds.currency = invoices.currency
            and refunds.created_at >= invoices.paid_at
            and refunds.amount_minor <= invoices.amount_paid_minor
    where refunds.refund_status in ('succeeded', 'pending') and invoices.stripe_subscription_id is not null
    qualify row_number() over (
        partition by refunds.refund_id
        order by invoices.paid_at desc, invoices.invoice_id desc
    ) = 1

),

paid_for as (

    select
        lines.invoice_id,
        lines.stripe_subscription_id,
        max(lines.period_ends_at) as period_ends_at
    from lines
    inner join prices on lines.price_id = prices.price_id
    where prices.is_licensed
    group by lines.invoice_id, lines.stripe_subscription_id

),

-- from the refund to the end of what it had paid for: which part of it was given back, in millionths?
refunded as (

    select
        closed.stripe_subscription_id,
        closed.month,
        least(
            {{ whole_division('1000000 * sum(repaid.amount_minor)', 'max(repaid.amount_paid_minor)') }}, 1000000
        ) as refunded_millionths
    from closed
    inner join paid_for
        on
            closed.stripe_subscription_id = paid_for.stripe_subscription_id
            and closed.closes_at <= paid_for.period_ends_at
    inner join repaid
        on
            paid_for.invoice_id = repaid.invoice_id
            and closed.closes_at > repaid.refunded_at
    group by closed.stripe_subscription_id, closed.month

),

-- everything that any rule looks at, per subscription and month
facts as (

    select
        closed.*,
        coalesce(refunded.refunded_millionths, 0) as refunded_millionths,
        {%- for view in views %}
        coalesce(proration_effects.{{ view }}_proration, 0) as {{ view }}_proration,
        {%- endfor %}
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
    left join proration_effects
        on
            closed.stripe_subscription_id = proration_effects.stripe_subscription_id
            and closed.month = proration_effects.month
    left join refunded
        on
            closed.stripe_subscription_id = refunded.stripe_subscription_id
            and closed.month = refunded.month
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
                    or facts.recurring_proration != 0
                    or facts.refunded_millionths > 0
                    then 1
                else 0
            end
        ) over (partition by facts.customer_id, facts.month) = 1 as is_touched
    from facts

),

-- what does each rule of each tool make of it: does the subscription count, and which amount?
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
        {%- for part in ['net_units', 'proration'] %}
        case
            when settings.discount_once = 'counted' and settings.discount_repeating = 'counted'
                then touched.every_{{ part }}
            when settings.discount_once = 'counted' then touched.unless_repeating_{{ part }}
            when settings.discount_repeating = 'counted' then touched.recurring_{{ part }}
            else touched.forever_{{ part }}
        end as {{ part }},
        {%- endfor %}
        settings.proration as proration_rule,
        settings.refunds as refund_rule,
        touched.refunded_millionths,
        case
            when settings.fx_rate = 'service_period_start' then touched.period_rate
            else touched.closing_rate
        end as rate
    from touched
    inner join settings on touched.is_touched or settings.is_final

),

-- what is the customer's balance in dollars at that step?
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
            "case when counts then net_units else 0 end"
            ~ " - case when counts and refund_rule = 'reduces' then "
            ~ whole_division('net_units', '1000000') ~ " * refunded_millionths else 0 end"
            ~ " + case when counts and proration_rule = 'scaled_back' then proration else 0 end"
            ~ " + case when usage = 'counted' then usage_units else 0 end",
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
