-- One row per price that can be on a subscription, with what one unit of it is per month.
-- Why it exists: the rule "day x 365/12, week x 52/12, year / 12" is written once. A price's amount never changes at
-- the vendor (a change is a new price), so the history of a subscription is the history of its price ids and
-- quantities.
-- Hazard: usage-based prices have no monthly amount; they are null here, not zero, and never part of MRR. Tiered prices
-- have none per seat: what a quantity costs is worked out in int_subscription_items__valued.

with

prices as (

    select * from {{ ref('stg_stripe__prices') }}

),

products as (

    select * from {{ ref('stg_stripe__products') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

-- what does one seat cost a month? tiers have no such price and are valued by quantity
normalized as (

    select
        prices.price_id,
        prices.product_id,
        products.plan,
        prices.currency,
        currencies.minor_unit_digits,
        prices.billing_interval,
        prices.interval_count,
        prices.unit_amount_minor,
        prices.quantity_divisor,
        prices.quantity_rounding,
        prices.tiers_mode,
        prices.tiers,
        prices.is_tiered,
        prices.usage_type = 'licensed' as is_licensed,
        case
            when prices.usage_type = 'licensed' and not prices.is_tiered
                then {{ monthly_units('prices.unit_amount_minor', 'prices.billing_interval', 'prices.interval_count') }}
        end as monthly_units_per_seat
    from prices
    inner join products on prices.product_id = products.product_id
    inner join currencies on prices.currency = currencies.currency
    where prices.price_type = 'recurring'

)

select
    normalized.*,
    {{ units_to_money('monthly_units_per_seat', 'minor_unit_digits') }} as monthly_amount_per_seat
from normalized
