-- One row per subscription and half-open interval [valid_from, valid_to) in which nothing that matters for its monthly
-- revenue changed. valid_to is null for the state that holds at as_of.
-- Why it exists: every MRR figure, of any month, under any rule, is a cut through these rows. Amounts are kept exactly
-- (columns *_units, see macros/economics/exact_money.sql) and shown as money in the subscription's own currency.
-- Hazard: the vendor's `status` column is the present status; reading it here would rewrite the past.

with

spells as (

    select * from {{ ref('int_subscription_spells__dated') }}

),

items as (

    select * from {{ ref('int_subscription_items__historized') }}

),

discounts as (

    select * from {{ ref('int_discounts__dated') }}

),

prices as (

    select * from {{ ref('int_prices__normalized') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

identities as (

    select * from {{ ref('int_identities__resolved') }}

),

lifetimes as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        currency,
        valid_from,
        valid_to
    from spells
    where spell = 'lifetime'

),

-- every instant at which something may have changed
breakpoints as (

    select
        stripe_subscription_id,
        valid_from as changed_at
    from spells
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from spells
    union
    select
        stripe_subscription_id,
        valid_from as changed_at
    from items
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from items
    union
    select
        stripe_subscription_id,
        valid_from as changed_at
    from discounts
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from discounts
    union
    -- the end of patience with an unpaid invoice
    select
        stripe_subscription_id,
        {{ dbt.dateadd('day', economics_setting('past_due_grace_days'), 'valid_from') }} as changed_at
    from spells
    where spell = 'past_due'

),

segments as (

    select
        lifetimes.stripe_subscription_id,
        lifetimes.stripe_customer_id,
        lifetimes.currency,
        breakpoints.changed_at as valid_from,
        lead(breakpoints.changed_at) over (
            partition by lifetimes.stripe_subscription_id
            order by breakpoints.changed_at
        ) as next_changed_at,
        lifetimes.valid_to as ended_at
    from lifetimes
    inner join breakpoints
        on
            lifetimes.stripe_subscription_id = breakpoints.stripe_subscription_id
            and lifetimes.valid_from <= breakpoints.changed_at
            and (lifetimes.valid_to is null or lifetimes.valid_to > breakpoints.changed_at)
            and breakpoints.changed_at < {{ as_of() }}

),

bounded as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        currency,
        valid_from,
        case
            when coalesce(next_changed_at, ended_at) < {{ as_of() }} then coalesce(next_changed_at, ended_at)
        end as valid_to
    from segments

),

-- in which conditions was it?
conditions as (

    select
        bounded.stripe_subscription_id,
        bounded.valid_from,
        max(case when spells.spell = 'trial' then 1 else 0 end) = 1 as is_trial,
        max(case when spells.spell = 'paused' then 1 else 0 end) = 1 as is_paused,
        max(case when spells.spell = 'unpaid' then 1 else 0 end) = 1 as is_unpaid,
        max(case when spells.spell = 'past_due' then 1 else 0 end) = 1 as is_past_due,
        max(
            case
                when
                    spells.spell = 'past_due'
                    and {{ dbt.dateadd('day', economics_setting('past_due_grace_days'), 'spells.valid_from') }}
                    <= bounded.valid_from
                    then 1
                else 0
            end
        ) = 1 as is_past_grace,
        max(case when spells.spell = 'cancellation_scheduled' then 1 else 0 end) = 1 as is_cancellation_scheduled
    from bounded
    inner join spells
        on
            bounded.stripe_subscription_id = spells.stripe_subscription_id
            and bounded.valid_from >= spells.valid_from
            and (spells.valid_to is null or bounded.valid_from < spells.valid_to)
    group by bounded.stripe_subscription_id, bounded.valid_from

),

-- what was sold, and what is it worth a month before discounts? the plan is that of the most valuable item; the item id
-- breaks ties so that the pick is repeatable
contents as (

    select
        bounded.stripe_subscription_id,
        bounded.valid_from,
        sum(items.quantity * prices.monthly_units_per_seat) as contract_units,
        sum(items.quantity) as seats,
        max_by(
            prices.plan,
            {{ dbt.concat([
                "lpad(cast(items.quantity * prices.monthly_units_per_seat as " ~ dbt.type_string() ~ "), 39, '0')",
                "items.subscription_item_id",
            ]) }}
        ) as plan,
        max_by(
            prices.billing_interval,
            {{ dbt.concat([
                "lpad(cast(items.quantity * prices.monthly_units_per_seat as " ~ dbt.type_string() ~ "), 39, '0')",
                "items.subscription_item_id",
            ]) }}
        ) as billing_interval,
        max_by(
            prices.interval_count,
            {{ dbt.concat([
                "lpad(cast(items.quantity * prices.monthly_units_per_seat as " ~ dbt.type_string() ~ "), 39, '0')",
                "items.subscription_item_id",
            ]) }}
        ) as interval_count
    from bounded
    inner join items
        on
            bounded.stripe_subscription_id = items.stripe_subscription_id
            and bounded.valid_from >= items.valid_from
            and (items.valid_to is null or bounded.valid_from < items.valid_to)
    inner join prices on items.price_id = prices.price_id
    group by bounded.stripe_subscription_id, bounded.valid_from

),

-- the discounts in force, in the order in which they were given
discount_steps as (

    select
        contents.stripe_subscription_id,
        contents.valid_from,
        discounts.percent_off,
        case
            when discounts.amount_off_currency = bounded.currency
                then
                    {{ monthly_units(
                        'cast(discounts.amount_off_minor as decimal(18, 4))',
                        'contents.billing_interval',
                        'contents.interval_count'
                    ) }}
        end as amount_off_units,
        row_number() over (
            partition by contents.stripe_subscription_id, contents.valid_from
            order by discounts.valid_from, discounts.discount_id
        ) as step
    from contents
    inner join bounded
        on
            contents.stripe_subscription_id = bounded.stripe_subscription_id
            and contents.valid_from = bounded.valid_from
    inner join discounts
        on
            contents.stripe_subscription_id = discounts.stripe_subscription_id
            and contents.valid_from >= discounts.valid_from
            and (discounts.valid_to is null or contents.valid_from < discounts.valid_to)

),

-- each discount is taken off what the one before it left, never below zero. Vendors allow twenty; a fourth of ours is
-- nobody's practice and assert_discounts_are_all_applied fails if there is one
discounted as (

    select
        contents.stripe_subscription_id,
        contents.valid_from,
        contents.contract_units,
        {%- for step in range(1, 4) %}
        max(case when discount_steps.step = {{ step }} then discount_steps.percent_off end) as percent_{{ step }},
        max(case when discount_steps.step = {{ step }} then discount_steps.amount_off_units end)
            as amount_{{ step }},
        {%- endfor %}
        count(discount_steps.step) as discount_count
    from contents
    left join discount_steps
        on
            contents.stripe_subscription_id = discount_steps.stripe_subscription_id
            and contents.valid_from = discount_steps.valid_from
    group by contents.stripe_subscription_id, contents.valid_from, contents.contract_units

),

after_one as (

    select
        *,
        {{ discounted_units('contract_units', 'percent_1', 'amount_1') }} as units_1
    from discounted

),

after_two as (

    select
        *,
        {{ discounted_units('units_1', 'percent_2', 'amount_2') }} as units_2
    from after_one

),

net as (

    select
        stripe_subscription_id,
        valid_from,
        contract_units,
        {{ discounted_units('units_2', 'percent_3', 'amount_3') }} as net_units,
        discount_count
    from after_two

),

-- what does the state count for? free trials, pauses and lost patience count nothing; past due counts until then
judged as (

    select
        bounded.stripe_subscription_id,
        bounded.stripe_customer_id,
        bounded.currency,
        bounded.valid_from,
        bounded.valid_to,
        contents.plan,
        coalesce(contents.seats, 0) as seats,
        contents.billing_interval,
        conditions.is_cancellation_scheduled,
        net.discount_count,
        coalesce(net.contract_units, 0) as contract_units,
        coalesce(net.net_units, 0) as net_units,
        case
            when conditions.is_trial then 'trialing'
            when conditions.is_paused then 'paused'
            when conditions.is_unpaid or conditions.is_past_grace then 'unpaid'
            when conditions.is_past_due then 'past_due'
            else 'active'
        end as state
    from bounded
    inner join conditions
        on
            bounded.stripe_subscription_id = conditions.stripe_subscription_id
            and bounded.valid_from = conditions.valid_from
    left join contents
        on
            bounded.stripe_subscription_id = contents.stripe_subscription_id
            and bounded.valid_from = contents.valid_from
    left join net
        on
            bounded.stripe_subscription_id = net.stripe_subscription_id
            and bounded.valid_from = net.valid_from

),

valued as (

    select
        ---------- ids
        identities.customer_id,
        judged.stripe_customer_id,
        judged.stripe_subscription_id,

        ---------- strings
        judged.state,
        judged.plan,
        judged.billing_interval,
        judged.currency,

        ---------- numerics
        cast(judged.seats as bigint) as seats,
        cast(coalesce(judged.discount_count, 0) as bigint) as discount_count,
        currencies.minor_unit_digits,
        case when judged.state in ('active', 'past_due') then judged.contract_units else 0 end as contract_units,
        case when judged.state in ('active', 'past_due') then judged.net_units else 0 end as mrr_units,
        case when judged.state = 'past_due' then judged.net_units else 0 end as past_due_units,
        case
            when judged.state in ('active', 'past_due') and judged.is_cancellation_scheduled then judged.net_units
            else 0
        end as scheduled_churn_units,
        case when judged.state = 'paused' then judged.net_units else 0 end as paused_units,

        ---------- booleans
        judged.is_cancellation_scheduled,

        ---------- timestamps
        judged.valid_from,
        judged.valid_to
    from judged
    inner join currencies on judged.currency = currencies.currency
    left join identities
        on
            judged.stripe_customer_id = identities.source_record_id
            and identities.source_system = 'stripe'
            and identities.source_record_type = 'customer'

),

shown as (

    select
        valued.*,
        {{ units_to_money('mrr_units', 'minor_unit_digits') }} as mrr,
        {{ units_to_money('contract_units', 'minor_unit_digits') }} as mrr_contract
    from valued

)

select * from shown
