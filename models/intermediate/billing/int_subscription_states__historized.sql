-- One row per subscription and half-open interval [valid_from, valid_to) in which nothing that matters for its monthly
-- revenue changed. valid_to is null for the state that holds at as_of.
-- Why it exists: every MRR figure, of any month, under any rule, is a cut through these rows. Amounts are kept exactly
-- (columns *_units, see macros/economics/exact_money.sql) and shown as money in the subscription's own currency.
-- Hazard: contract_units and mrr_units are what counts under our rules and are zero in states that do not count; the
-- units that no rule has looked at yet are listed_units and <view>_net_units.
{% set views = ['recurring', 'forever', 'every', 'unless_repeating'] %}

with

segments as (

    select * from {{ ref('int_subscription_segments__cut') }}

),

items as (

    select * from {{ ref('int_subscription_items__valued') }}

),

discounts as (

    select * from {{ ref('int_discounts__dated') }}
    where discount_level != 'item'

),

currencies as (

    select * from {{ ref('currencies') }}

),

identities as (

    select
        source_record_id as stripe_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

-- what was sold together, and what is it worth a month?
contents as (

    select
        stripe_subscription_id,
        valid_from,
        sum(contract_units) as contract_units,
        {%- for view in views %}
        sum({{ view }}_units) as {{ view }}_units,
        {%- endfor %}
        sum(quantity) as seats,
        max(case when value_rank = 1 then plan end) as plan,
        max(case when value_rank = 1 then billing_interval end) as billing_interval,
        max(case when value_rank = 1 then interval_count end) as interval_count,
        max(discount_count) as item_discount_count
    from items
    group by stripe_subscription_id, valid_from

),

-- which discounts were in force? a subscription with one of its own does not inherit the customer's; what is limited to
-- products was taken off the items
in_force as (

    select
        contents.stripe_subscription_id,
        contents.valid_from,
        {%- for view in views %}
        contents.{{ view }}_units,
        {%- endfor %}
        discounts.discount_id,
        discounts.coupon_duration,
        discounts.percent_off,
        case
            when discounts.amount_off_currency = segments.currency
                then
                    {{ monthly_units(
                        'cast(discounts.amount_off_minor as decimal(18, 4))',
                        'contents.billing_interval',
                        'contents.interval_count'
                    ) }}
        end as amount_off_units,
        discounts.valid_from as given_at
    from contents
    inner join segments
        on
            contents.stripe_subscription_id = segments.stripe_subscription_id
            and contents.valid_from = segments.valid_from
    inner join discounts
        on
            contents.stripe_subscription_id = discounts.stripe_subscription_id
            and contents.valid_from >= discounts.valid_from
            and (discounts.valid_to is null or contents.valid_from < discounts.valid_to)
    qualify
        discounts.limited_to_products is null
        and (
            discounts.discount_level = 'subscription'
            or max(case when discounts.discount_level = 'subscription' then 1 else 0 end) over (
                partition by contents.stripe_subscription_id, contents.valid_from
            ) = 0
        )

),

discount_steps as (

    select
        *,
        {{ discount_step_numbers('stripe_subscription_id, valid_from', 'given_at, discount_id') }}
    from in_force

),

{{ discounts_taken_off('discount_steps', ['stripe_subscription_id', 'valid_from'], 'units', by_view=true) }},

-- what is the whole subscription worth, after all discounts, and does its state count?
netted as (

    select
        segments.*,
        contents.plan,
        contents.billing_interval,
        currencies.minor_unit_digits,
        cast(coalesce(contents.seats, 0) as bigint) as seats,
        cast(
            greatest(coalesce(taken_off.discount_count, 0), coalesce(contents.item_discount_count, 0)) as bigint
        ) as discount_count,
        coalesce(contents.contract_units, 0) as listed_units,
        {%- for view in views %}
        coalesce(taken_off.{{ view }}_units, contents.{{ view }}_units, 0) as {{ view }}_net_units,
        {%- endfor %}
        segments.state in ('active', 'past_due') as counts
    from segments
    inner join currencies on segments.currency = currencies.currency
    left join contents
        on
            segments.stripe_subscription_id = contents.stripe_subscription_id
            and segments.valid_from = contents.valid_from
    left join taken_off
        on
            segments.stripe_subscription_id = taken_off.stripe_subscription_id
            and segments.valid_from = taken_off.valid_from

),

-- what of it counts under our rules, and whose is it?
valued as (

    select
        ---------- ids
        identities.customer_id,
        netted.stripe_customer_id,
        netted.stripe_subscription_id,

        ---------- strings
        netted.state,
        netted.plan,
        netted.billing_interval,
        netted.currency,

        ---------- numerics: what counts under our rules
        netted.seats,
        netted.discount_count,
        netted.minor_unit_digits,
        case when netted.counts then netted.listed_units else 0 end as contract_units,
        case when netted.counts then netted.recurring_net_units else 0 end as mrr_units,
        case when netted.state = 'past_due' then netted.recurring_net_units else 0 end as past_due_units,
        case
            when netted.counts and netted.is_cancellation_scheduled then netted.recurring_net_units
            else 0
        end as scheduled_churn_units,
        case when netted.state = 'paused' then netted.recurring_net_units else 0 end as paused_units,

        ---------- numerics: before any rule
        netted.listed_units,
        {%- for view in views %}
        netted.{{ view }}_net_units,
        {%- endfor %}

        ---------- booleans
        netted.is_trial,
        netted.is_free_time,
        netted.is_paused,
        netted.is_unpaid,
        netted.is_cancellation_scheduled,

        ---------- timestamps
        netted.past_due_since,
        netted.valid_from,
        netted.valid_to
    from netted
    left join identities on netted.stripe_customer_id = identities.stripe_customer_id

),

shown as (

    select
        valued.*,
        {{ units_to_money('mrr_units', 'minor_unit_digits') }} as mrr,
        {{ units_to_money('contract_units', 'minor_unit_digits') }} as mrr_contract
    from valued

)

select * from shown
