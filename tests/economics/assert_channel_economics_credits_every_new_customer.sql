-- Guards channel_economics against customers that nobody is credited with, or two channels are: the channels' new
-- customers are the customers that the revenue bridge has ever seen as new, each once.

with

bridge as (

    select count(distinct customer_id) as customers
    from {{ ref('int_mrr_movements__dated') }}
    where movement = 'new'

),

published as (

    select
        coalesce(sum(new_customers) filter (where channel != 'all'), 0) as channels,
        coalesce(sum(new_customers) filter (where channel = 'all'), 0) as everything
    from {{ ref('channel_economics') }}

)

select
    bridge.customers,
    published.channels,
    published.everything
from bridge
cross join published
where bridge.customers != published.channels or bridge.customers != published.everything
