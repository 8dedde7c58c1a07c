-- One row per customer and reporting month in which something was sold at its beginning or its end: why the balance
-- changed, in dollars at the rate that opened the month, exactly (see units_at_rate).
-- Why it exists: five more seats, a higher price, a bigger plan and a lapsed discount are different news, and one sum
-- in the bridge. Seats are valued at the price before, the price change at the seats after: ten seats at 20 that become
-- fifteen at 18 are +100 for seats and -30 for the price.
-- Hazard: compared are plans, over all subscriptions of a customer that count. A plan that was not there before, or is
-- gone after, is a change of plan; a second subscription of the same plan is more seats; moving a plan from one
-- subscription to another is nothing.

with

closed as (

    select * from {{ ref('int_subscription_states__closed') }}
    where customer_id is not null and state in ('active', 'past_due')

),

items as (

    select * from {{ ref('int_subscription_items__valued') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- what stood at each close, by plan
standing as (

    select
        closed.customer_id,
        closed.currency,
        closed.minor_unit_digits,
        closed.month,
        items.plan,
        sum(items.quantity) as seats,
        sum(items.contract_units) as contract_units
    from closed
    inner join items
        on
            closed.stripe_subscription_id = items.stripe_subscription_id
            and closed.valid_from = items.valid_from
    group by closed.customer_id, closed.currency, closed.minor_unit_digits, closed.month, items.plan

),

-- the close of a month opens the next
sides as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        plan,
        0 as seats_before,
        cast(0 as {{ exact_integer() }}) as units_before,
        seats as seats_after,
        contract_units as units_after
    from standing

    union all

    select
        customer_id,
        currency,
        minor_unit_digits,
        cast({{ dbt.dateadd('month', 1, 'month') }} as date) as month,
        plan,
        seats as seats_before,
        contract_units as units_before,
        0 as seats_after,
        cast(0 as {{ exact_integer() }}) as units_after
    from standing

),

-- what did each plan have before and after?
plans as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        plan,
        sum(seats_before) as seats_before,
        sum(units_before) as units_before,
        sum(seats_after) as seats_after,
        sum(units_after) as units_after
    from sides
    group by customer_id, currency, minor_unit_digits, month, plan

),

-- a plan that stayed changed by seats or price, one that came or went by plan
plan_effects as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        units_after - units_before as contract_change,
        case
            when seats_before = 0 or seats_after = 0 then 0
            else {{ whole_division('units_before * (seats_after - seats_before)', 'seats_before') }}
        end as seat_units,
        case when seats_before = 0 or seats_after = 0 then units_after - units_before else 0 end as plan_units
    from plans

),

-- what did discounts take off at the close, and at the close before? their difference is what they did
discounts as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        mrr_units - contract_units as discount_units
    from closed

    union all

    select
        customer_id,
        currency,
        minor_unit_digits,
        cast({{ dbt.dateadd('month', 1, 'month') }} as date) as month,
        contract_units - mrr_units as discount_units
    from closed

),

-- one row per cause, the others zero, so that a sum over rows is all four at once
effects as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        seat_units,
        contract_change - seat_units - plan_units as price_units,
        plan_units,
        cast(0 as {{ exact_integer() }}) as discount_units
    from plan_effects

    union all

    select
        customer_id,
        currency,
        minor_unit_digits,
        month,
        cast(0 as {{ exact_integer() }}) as seat_units,
        cast(0 as {{ exact_integer() }}) as price_units,
        cast(0 as {{ exact_integer() }}) as plan_units,
        discount_units
    from discounts

),

-- all four at the rate that opened the month, like the movement that they add up to
rated as (

    select
        effects.customer_id,
        effects.month,
        sum({{ units_at_rate('effects.seat_units', 'rates.opening_rate', 'minor_unit_digits') }}) as seat_rated,
        sum({{ units_at_rate('effects.price_units', 'rates.opening_rate', 'minor_unit_digits') }}) as price_rated,
        sum({{ units_at_rate('effects.plan_units', 'rates.opening_rate', 'minor_unit_digits') }}) as plan_rated,
        sum({{ units_at_rate('effects.discount_units', 'rates.opening_rate', 'minor_unit_digits') }}) as discount_rated
    from effects
    inner join rates
        on
            effects.currency = rates.currency
            and effects.month = rates.month
    group by effects.customer_id, effects.month

)

select * from rated
