-- What the newest publication of closed months rested on: one row per billing customer with the customer it was, and
-- one per currency and month with its rate.

with

source as (

    select * from {{ source('ops', 'mrr_grounds') }}

)

select
    kind,
    subject,
    month,
    value
from source
