-- Guards the standard errors of lifetime value, and with them every interval: influences of a channel's customers sum
-- to zero exactly, but for each customer's rounding to a ten-thousandth; so do those on all channels together. A wrong
-- or missing term in the influence function does not survive this.

select
    channel,
    count(*) as customers,
    sum(influence) as influence
from {{ ref('int_customer_values__scored') }}
group by channel
having abs(sum(influence)) > count(*)

union all

select
    'all' as channel,
    count(*) as customers,
    sum(influence_on_all) as influence
from {{ ref('int_customer_values__scored') }}
having abs(sum(influence_on_all)) > count(*)
