-- Guards the seed behaviours: an event name that the product never sends is a signal that never fires, in silence.
-- The list of events is the one that usage is counted by.

select
    behaviours.behaviour,
    behaviours.event_name,
    behaviours.product
from {{ ref('behaviours') }} as behaviours
left join {{ ref('product_events') }} as product_events
    on
        behaviours.event_name = product_events.event_name
        and (behaviours.product is null or behaviours.product = product_events.product)
where
    behaviours.source = 'product'
    and behaviours.grain = 'event'
    and product_events.event_name is null
