-- One row per customer and instant at which the customer's monthly revenue changed: the event-dated ledger under the
-- monthly bridge of mrr_movements. Within a month its amounts add up to the bridge's movement to the cent.
-- Why it exists: a customer who came on the 5th and left on the 20th is invisible in a monthly bridge and is two rows
-- here; behaviours and signals need the instant, not the month.
-- Amounts are US dollars at the opening rate of the month (exchange rates move nothing here).
-- Hazard: two subscriptions that change at the same instant (a migration) are one movement of their sum; taken one by
-- one they would look like churn and a new customer.

with

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- when does what a subscription is worth come, and when does it go?
steps as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        valid_from as occurred_at,
        mrr_units as units
    from states
    where customer_id is not null

    union all

    select
        customer_id,
        currency,
        minor_unit_digits,
        valid_to as occurred_at,
        -mrr_units as units
    from states
    where customer_id is not null and valid_to is not null

),

changes as (

    select
        customer_id,
        currency,
        minor_unit_digits,
        occurred_at,
        sum(units) as change_units
    from steps
    group by customer_id, currency, minor_unit_digits, occurred_at
    having sum(units) != 0

),

instants as (

    select distinct
        customer_id,
        occurred_at
    from changes

),

customer_currencies as (

    select distinct
        customer_id,
        currency,
        minor_unit_digits
    from changes

),

-- at each instant of change every currency of the customer stands somewhere, also those that did not change
grid as (

    select
        instants.customer_id,
        instants.occurred_at,
        currencies.currency,
        currencies.minor_unit_digits
    from instants
    inner join customer_currencies as currencies on instants.customer_id = currencies.customer_id

),

-- what stood in each currency after each change of any of them?
standing as (

    select
        grid.customer_id,
        grid.occurred_at,
        grid.currency,
        grid.minor_unit_digits,
        coalesce(changes.change_units, 0) as change_units,
        sum(coalesce(changes.change_units, 0)) over (
            partition by grid.customer_id, grid.currency
            order by grid.occurred_at
        ) as units_after
    from grid
    left join changes
        on
            grid.customer_id = changes.customer_id
            and grid.currency = changes.currency
            and grid.occurred_at = changes.occurred_at

),

-- currencies are added in dollars; whether somebody pays at all is decided on the exact amounts, not on rounded cents
totals as (

    select
        standing.customer_id,
        standing.occurred_at,
        {{ reporting_month('standing.occurred_at') }} as month,
        sum(
            {{ units_at_rate(
                'standing.units_after - standing.change_units', 'rates.opening_rate', 'standing.minor_unit_digits'
            ) }}
        ) as rated_before,
        sum(
            {{ units_at_rate('standing.units_after', 'rates.opening_rate', 'standing.minor_unit_digits') }}
        ) as rated_after,
        sum(standing.units_after - standing.change_units) > 0 as was_paying,
        sum(standing.units_after) > 0 as is_paying
    from standing
    inner join rates
        on
            standing.currency = rates.currency
            and {{ reporting_month('standing.occurred_at') }} = rates.month
    group by standing.customer_id, standing.occurred_at

),

-- had the customer paid before, and when did it last leave? In dollars at the rate that opened the month
rounded as (

    select
        customer_id,
        occurred_at,
        month,
        {{ rated_units_to_usd('rated_before') }} as mrr_before,
        {{ rated_units_to_usd('rated_after') }} as mrr_after,
        was_paying,
        is_paying,
        coalesce(
            max(case when is_paying then 1 else 0 end) over (
                partition by customer_id
                order by occurred_at
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) = 1 as has_paid_before,
        max(case when not is_paying then occurred_at end) over (
            partition by customer_id
            order by occurred_at
            rows between unbounded preceding and 1 preceding
        ) as last_left_at
    from totals

),

-- new, back, gone, more or less?
classified as (

    select
        customer_id,
        occurred_at,
        month,
        case
            when not was_paying and is_paying and not has_paid_before then 'new'
            when not was_paying and is_paying then 'reactivation'
            when was_paying and not is_paying then 'churn'
            when mrr_after > mrr_before then 'expansion'
            when mrr_after < mrr_before then 'contraction'
        end as movement,
        mrr_before,
        mrr_after,
        cast(mrr_after - mrr_before as decimal(18, 2)) as amount,
        case
            when not was_paying and is_paying and has_paid_before
                then {{ dbt.datediff('last_left_at', 'occurred_at', 'day') }}
        end as gap_days
    from rounded

)

select * from classified
where movement is not null
