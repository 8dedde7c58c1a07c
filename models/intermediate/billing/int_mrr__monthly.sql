-- One row per customer, currency and reporting month, from the first month in which the customer paid in any currency
-- to the month of as_of, months without revenue included: what stood at the end of the month, exactly.
-- Why it exists: the full spine. A customer who left and came back has rows of zero in between, so that leaving is
-- seen and coming back is not taken for growth.
-- Hazard: the close of a month is the state an instant before the next month begins. A subscription that starts on
-- the 1st at 00:00 belongs to the month it starts; one that ends then still closes the month before.

with

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- facts count when they happened before as_of, so the last month is the one that holds the instant before it
first_months as (

    select
        customer_id,
        min({{ reporting_month('valid_from') }}) as first_month
    from states
    where customer_id is not null and mrr_units > 0
    group by customer_id

),

months as (

    select
        customer_id,
        cast({{ series('first_month', reporting_month(as_of() ~ " - interval '1' second"), 'month') }} as date) as month
    from first_months

),

customer_currencies as (

    select distinct
        customer_id,
        currency,
        minor_unit_digits
    from states
    where customer_id is not null

),

closings as (

    select
        months.customer_id,
        customer_currencies.currency,
        customer_currencies.minor_unit_digits,
        months.month,
        least(
            {{ month_starts_at(dbt.dateadd('month', 1, 'months.month')) }},
            {{ as_of() }}
        ) as closes_at,
        {{ month_starts_at(dbt.dateadd('month', 1, 'months.month')) }} > {{ as_of() }} as is_open
    from months
    inner join customer_currencies on months.customer_id = customer_currencies.customer_id

),

-- which states were in force an instant before the close?
closed as (

    select
        closings.customer_id,
        closings.currency,
        closings.minor_unit_digits,
        closings.month,
        closings.is_open,
        cast(coalesce(sum(states.mrr_units), 0) as {{ exact_integer() }}) as mrr_units,
        cast(coalesce(sum(states.contract_units), 0) as {{ exact_integer() }}) as contract_units,
        cast(coalesce(sum(states.past_due_units), 0) as {{ exact_integer() }}) as past_due_units,
        cast(coalesce(sum(states.scheduled_churn_units), 0) as {{ exact_integer() }}) as scheduled_churn_units,
        cast(coalesce(sum(states.paused_units), 0) as {{ exact_integer() }}) as paused_units
    from closings
    left join states
        on
            closings.customer_id = states.customer_id
            and closings.currency = states.currency
            and closings.closes_at > states.valid_from
            and (states.valid_to is null or closings.closes_at <= states.valid_to)
    group by
        closings.customer_id,
        closings.currency,
        closings.minor_unit_digits,
        closings.month,
        closings.is_open

),

rated as (

    select
        closed.*,
        rates.closing_rate,
        rates.opening_rate
    from closed
    inner join rates
        on
            closed.currency = rates.currency
            and closed.month = rates.month

)

select * from rated
