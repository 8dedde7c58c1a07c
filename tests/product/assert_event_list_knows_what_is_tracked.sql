-- Guards the meaning of use: an event name that the seed product_events does not list never counts as use, so a
-- renamed or new event makes customers look dormant. warn, not error: a new event is news for product analytics, not a
-- reason to hold back everybody's numbers; a flood of unlisted events (more than fifty names) is.
{{ config(severity='error', warn_if='> 0', error_if='> 50') }}

select
    product,
    event_name,
    count(*) as events
from {{ ref('int_events__attributed') }}
where
    event_type = 'track'
    and feature_family is null
group by product, event_name
