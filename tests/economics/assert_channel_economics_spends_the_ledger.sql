-- Guards channel_economics against cost that falls through: what the channels spent is what the spend files say, line
-- by line at the month's exchange rate, to the cent; and the 'all' row is the sum of the others.

with

ledger as (

    select coalesce(sum(cast(spend.amount * rates.closing_rate as decimal(18, 2))), 0) as spend
    from {{ ref('stg_spend__ad_spend') }} as spend
    left join {{ ref('int_fx_rates__applied') }} as rates
        on
            spend.currency = rates.currency
            and cast(date_trunc('month', spend.spend_date) as date) = rates.month
    where spend.spend_date < {{ as_of() }}

),

published as (

    select
        coalesce(sum(spend) filter (where channel != 'all'), 0) as channels,
        coalesce(sum(spend) filter (where channel = 'all'), 0) as everything
    from {{ ref('channel_economics') }}

)

select
    ledger.spend,
    published.channels,
    published.everything
from ledger
cross join published
where ledger.spend != published.channels or ledger.spend != published.everything
