-- One row per channel (and 'all'), bucket of customers and month of tenure: how many were there, could be lost, were
-- lost, and what they brought. Survival is estimated from its sums over buckets, replicates from its weighted sums.
-- Why it exists: everything about lifetime value that is computed more than once is computed from these few thousand
-- rows and not from the customers, so that a thousand replicates cost no more for a million customers.

with

tenures as (

    select * from {{ ref('int_customer_tenures__observed') }}

),

by_channel as (

    select
        channel,
        bucket,
        month_of_tenure,
        count(*) as customers_there,
        sum(cast(is_at_risk as integer)) as customers_at_risk,
        sum(cast(is_lost as integer)) as customers_lost,
        sum(cast(margin_cents as double)) as margin_cents
    from tenures
    group by channel, bucket, month_of_tenure

),

-- every customer counts in their channel and in 'all'
with_all as (

    select * from by_channel
    union all
    select
        'all' as channel,
        bucket,
        month_of_tenure,
        sum(customers_there) as customers_there,
        sum(customers_at_risk) as customers_at_risk,
        sum(customers_lost) as customers_lost,
        sum(margin_cents) as margin_cents
    from by_channel
    group by bucket, month_of_tenure

)

-- whole numbers held as doubles, whose sums are exact in any order below 2^53
select
    channel,
    bucket,
    month_of_tenure,
    cast(customers_there as double) as customers_there,
    cast(customers_at_risk as double) as customers_at_risk,
    cast(customers_lost as double) as customers_lost,
    cast(margin_cents as double) as margin_cents
from with_all
