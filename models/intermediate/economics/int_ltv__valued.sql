-- One row per channel (and 'all'): the lifetime value in US cents over the horizon, how much of it rests on months that
-- were observed, and how long a customer stays.

with

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

)

select
    channel,
    max(last_observed_month) + 1 as observed_months,
    max(customers_there) filter (where month_of_tenure = 0) as customers,
    sum(value_cents order by month_of_tenure) as ltv_cents,
    coalesce(sum(value_cents order by month_of_tenure) filter (where is_observed), 0) as observed_ltv_cents,
    sum(survival order by month_of_tenure) as expected_months
from survival
group by channel
