-- Guards usage_daily: track events that happened before as_of = events in the mart (product 'all', and summed over the
-- products) + events whose identifiers resolve to nobody. A join that fans out, or a day the increments forgot, breaks
-- it.

with

events as (

    select
        count(*) as track_events,
        count(*) filter (where customer_id is null) as unattributed_events,
        count(*) filter (where customer_id is not null and is_qualifying) as qualifying_events
    from {{ ref('int_events__attributed') }}
    where event_type = 'track'

),

usage as (

    select
        coalesce(sum(events) filter (where product = 'all'), 0) as events_in_total,
        coalesce(sum(events) filter (where product != 'all'), 0) as events_in_products,
        coalesce(sum(qualifying_events) filter (where product = 'all'), 0) as qualifying_in_total
    from {{ ref('usage_daily') }}

)

select
    events.*,
    usage.*
from events
cross join usage
where
    events.track_events != usage.events_in_total + events.unattributed_events
    or usage.events_in_total != usage.events_in_products
    or events.qualifying_events != usage.qualifying_in_total
