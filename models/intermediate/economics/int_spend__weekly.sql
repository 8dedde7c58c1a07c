-- One row per channel and week (Monday, UTC): what acquisition cost, in whole US cents, paid media apart from
-- everything. Every line of the ledger is in exactly one row, so sums over channels and weeks are the ledger
-- (assert_channel_economics_spends_the_ledger).
-- Hazard: lines are converted one by one and rounded to the cent before they are added; adding first and converting
-- then gives another total.

with

spend as (

    select * from {{ ref('stg_spend__ad_spend') }}

),

cost_types as (

    select * from {{ ref('cost_types') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- spend in dollars at the rate that closed the month
converted as (

    select
        spend.channel,
        cast(date_trunc('week', spend.spend_date) as date) as week,
        cost_types.is_paid_media,
        cast(cast(spend.amount * rates.closing_rate as decimal(18, 2)) * 100 as bigint) as spend_cents
    from spend
    inner join cost_types on spend.cost_type = cost_types.cost_type
    inner join rates
        on
            spend.currency = rates.currency
            and cast(date_trunc('month', spend.spend_date) as date) = rates.month
    where spend.spend_date < {{ as_of() }}

)

select
    channel,
    week,
    cast(sum(spend_cents) as bigint) as spend_cents,
    cast(coalesce(sum(spend_cents) filter (where is_paid_media), 0) as bigint) as paid_spend_cents
from converted
group by channel, week
