-- Guards every number about channels against customers and money that fall through or are counted twice: under every
-- attribution rule the channels' customers are the customers that the revenue bridge has ever seen as new, each once,
-- and what the channels spent is what the spend files say, line by line at the month's exchange rate, to the cent. The
-- value of all customers is the same under every rule, and under `first` it is what the survival curves say.

with

bridge as (

    select count(distinct customer_id) as customers
    from {{ ref('int_mrr_movements__dated') }}
    where movement = 'new'

),

ledger as (

    select coalesce(sum(cast(spend.amount * rates.closing_rate as decimal(18, 2))), 0) as spend
    from {{ ref('stg_spend__ad_spend') }} as spend
    left join {{ ref('int_fx_rates__applied') }} as rates
        on
            spend.currency = rates.currency
            and cast(date_trunc('month', spend.spend_date) as date) = rates.month
    where spend.spend_date < {{ as_of() }}

),

statements as (

    select
        'customers of channel_economics' as claim,
        (select bridge.customers from bridge) as expected,
        sum(case when channel != 'all' then new_customers end) as found
    from {{ ref('channel_economics') }}
    union all
    select
        'customers of its all row' as claim,
        (select bridge.customers from bridge) as expected,
        sum(case when channel = 'all' then new_customers end) as found
    from {{ ref('channel_economics') }}
    union all
    select
        'spend of channel_economics' as claim,
        (select ledger.spend from ledger) as expected,
        sum(case when channel != 'all' then spend end) as found
    from {{ ref('channel_economics') }}
    union all
    select
        'spend of its all row' as claim,
        (select ledger.spend from ledger) as expected,
        sum(case when channel = 'all' then spend end) as found
    from {{ ref('channel_economics') }}
    union all
    select
        'customers credited by ' || attribution as claim,
        (select bridge.customers from bridge) as expected,
        sum(credited_customers) as found
    from {{ ref('channel_attribution') }}
    group by attribution
    union all
    select
        'spend under ' || attribution as claim,
        (select ledger.spend from ledger) as expected,
        sum(spend) as found
    from {{ ref('channel_attribution') }}
    group by attribution

),

shares as (

    select
        attribution,
        customer_id
    from {{ ref('int_acquisition_credits__split') }}
    group by attribution, customer_id
    having sum(share_millionths) != 1000000

),

-- rounding a customer's value to the cent is all that may lie between two ways of adding up
worth as (

    select
        averages.attribution,
        sum(averages.value_sum) / 1000000 as found
    from {{ ref('int_attributed_values__averaged') }} as averages
    group by averages.attribution

),

curves as (

    select sum(ltv_cents * customers) as expected
    from {{ ref('int_channel_ltv__valued') }}
    where channel != 'all'

)

select
    claim,
    cast(expected as {{ dbt.type_string() }}) as expected,
    cast(found as {{ dbt.type_string() }}) as found
from statements
where expected is distinct from found
union all
select
    'one customer under ' || attribution as claim,
    '1000000' as expected,
    customer_id as found
from shares
union all
select
    'value of all customers under ' || worth.attribution as claim,
    cast(curves.expected as {{ dbt.type_string() }}) as expected,
    cast(worth.found as {{ dbt.type_string() }}) as found
from worth
cross join curves
where abs(worth.found / nullif(curves.expected, 0) - 1) > 0.0001
