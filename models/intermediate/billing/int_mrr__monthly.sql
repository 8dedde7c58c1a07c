-- One row per customer, currency and reporting month, from the first month in which the customer paid in any currency
-- to the month of as_of, months without revenue included: what stood at the end of the month, exactly.
-- Why it exists: the full spine. A customer who left and came back has rows of zero in between, so that leaving is
-- seen and coming back is not taken for growth.
-- Hazard: the spine begins with the first payment, also one that came and went before its month closed; a customer
-- whose every close is zero has rows all the same.

with

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

closed as (

    select * from {{ ref('int_subscription_states__closed') }}

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

spined as (

    select
        months.customer_id,
        customer_currencies.currency,
        customer_currencies.minor_unit_digits,
        months.month,
        {{ month_starts_at(dbt.dateadd('month', 1, 'months.month')) }} > {{ as_of() }} as is_open
    from months
    inner join customer_currencies on months.customer_id = customer_currencies.customer_id

),

balances as (

    select
        customer_id,
        currency,
        month,
        sum(mrr_units) as mrr_units,
        sum(contract_units) as contract_units,
        sum(past_due_units) as past_due_units,
        sum(scheduled_churn_units) as scheduled_churn_units,
        sum(paused_units) as paused_units
    from closed
    group by customer_id, currency, month

),

-- what stood at the close of each month, zero included, and at which rates is it valued?
rated as (

    select
        spined.customer_id,
        spined.currency,
        spined.minor_unit_digits,
        spined.month,
        spined.is_open,
        cast(coalesce(balances.mrr_units, 0) as {{ exact_integer() }}) as mrr_units,
        cast(coalesce(balances.contract_units, 0) as {{ exact_integer() }}) as contract_units,
        cast(coalesce(balances.past_due_units, 0) as {{ exact_integer() }}) as past_due_units,
        cast(coalesce(balances.scheduled_churn_units, 0) as {{ exact_integer() }}) as scheduled_churn_units,
        cast(coalesce(balances.paused_units, 0) as {{ exact_integer() }}) as paused_units,
        rates.closing_rate,
        rates.opening_rate
    from spined
    inner join rates
        on
            spined.currency = rates.currency
            and spined.month = rates.month
    left join balances
        on
            spined.customer_id = balances.customer_id
            and spined.currency = balances.currency
            and spined.month = balances.month

)

select * from rated
