-- One row per attribution rule and channel: what a customer is worth when customers are shared between the channels
-- that touched them, with the 95 % interval.
-- Under `first` the estimate is that of int_channel_ltv__valued by another way; assert_economics_add_up compares them.

with

credits as (

    select * from {{ ref('int_acquisition_credits__split') }}

),

customer_values as (

    select * from {{ ref('int_customer_values__scored') }}

),

shares as (

    select
        credits.attribution,
        credits.channel,
        credits.bucket,
        credits.share_millionths,
        customer_values.value_cents
    from credits
    inner join customer_values on credits.customer_id = customer_values.customer_id
    where customer_values.value_cents is not null

),

squared as (

    select
        attribution,
        channel,
        sum(cast(share_millionths as double) * share_millionths) as squared_shares
    from shares
    group by attribution, channel

),

averaged as (
    {{ mean_with_interval('shares', ['attribution', 'channel'], 'value_cents', share='share_millionths') }}
)

select
    averaged.*,
    -- as many whole customers would say as much
    averaged.shares * averaged.shares / nullif(squared.squared_shares, 0) as effective_customers
from averaged
inner join squared
    on
        averaged.attribution = squared.attribution
        and averaged.channel = squared.channel
