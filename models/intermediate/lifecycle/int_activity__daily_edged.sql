-- One row per customer and day (UTC) with a qualifying product event: the first and the last of them and how many.
-- Why it exists: silences of a day and longer lie between the last event of one active day and the first of the next,
-- so these two events are all that "went quiet" and "came back" need, and the proof they give is exact.

with

events as (

    select
        customer_id,
        event_id,
        occurred_at,
        received_at,
        cast(occurred_at as date) as activity_date
    from {{ ref('int_events__attributed') }}
    where
        is_qualifying
        and customer_id is not null
        and occurred_at < {{ as_of() }}

),

days as (

    select
        customer_id,
        activity_date,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        count(*) as qualifying_events
    from events
    group by customer_id, activity_date

),

-- which event stands for the edge when several share its instant? the smallest id first, the largest last
edges as (

    select
        days.customer_id,
        days.activity_date,
        min(events.event_id) filter (where events.occurred_at = days.first_at) as first_event_id,
        max(events.event_id) filter (where events.occurred_at = days.last_at) as last_event_id,
        min(events.received_at) filter (where events.occurred_at = days.first_at) as first_received_at,
        min(events.received_at) filter (where events.occurred_at = days.last_at) as last_received_at
    from days
    inner join events
        on
            days.customer_id = events.customer_id
            and days.activity_date = events.activity_date
            and (days.first_at = events.occurred_at or days.last_at = events.occurred_at)
    group by days.customer_id, days.activity_date

)

select
    days.customer_id,
    days.activity_date,
    days.qualifying_events,
    days.first_at,
    days.last_at,
    edges.first_event_id,
    edges.last_event_id,
    edges.first_received_at,
    edges.last_received_at
from days
inner join edges
    on
        days.customer_id = edges.customer_id
        and days.activity_date = edges.activity_date
