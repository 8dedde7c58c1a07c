-- One row per customer and day (UTC) with a qualifying product event: the first and the last of them and how many.
-- Hazard: a message repeated after more than the look-back of int_events__deduplicated is counted twice, as in usage.

with

used as (

    select
        *,
        cast(occurred_at as date) as activity_date
    from {{ ref('int_behaviours__unioned') }}
    where behaviour = '*'

)

select
    customer_id,
    activity_date,
    cast(sum(uses) as bigint) as qualifying_events,
    min(occurred_at) as first_at,
    max(occurred_at) as last_at
from used
group by customer_id, activity_date
