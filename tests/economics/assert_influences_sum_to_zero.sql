-- Guards the standard errors of lifetime value: influences of a channel's customers sum to zero exactly, but for each
-- customer's rounding to a ten-thousandth. A wrong or missing term in the influence function does not survive this.

select
    channel,
    count(*) as customers,
    sum(influence) as influence
from {{ ref('int_customer_influences__scored') }}
group by channel
having abs(sum(influence)) > count(*)
