-- Guards int_subscription_states__historized, which takes off up to three discounts at once of an item, and as many of
-- the subscription or its customer: a fourth would be left out in silence and MRR would be too high.

select
    stripe_subscription_id,
    valid_from,
    discount_count
from {{ ref('int_subscription_states__historized') }}
where discount_count > 3
