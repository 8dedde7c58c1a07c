-- One row per usable message as received. A message that was sent or delivered twice is here twice; readers who count
-- use int_events__attributed.

with

events as (

    select * from {{ ref('base_product__events') }}

)

select
    ---------- ids
    event_id,
    user_id,
    anonymous_id,
    account_id,

    ---------- strings
    event_type,
    event_name,
    product,
    properties,
    context,

    ---------- dates
    received_date,

    ---------- timestamps
    occurred_at,
    sent_at,
    received_at,

    _dlt_load_id
from events
where row_verdict = 'staged'
