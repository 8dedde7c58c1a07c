-- One row per customer, product (or 'all') and calendar day (UTC) with at least one track event.
-- Why it exists: every statement about how much a product is used can be recounted from here without reading events.
-- Hazard: 'all' rows are the total over the products, counted once; leave them out when summing over products, and do
-- not sum sessions, minutes or people over products at all.

with

usage as (

    select * from {{ ref('int_usage__daily') }}

)

select
    customer_id,
    product,
    usage_date,
    qualifying_events > 0 as is_active_day,
    events,
    qualifying_events,
    sessions,
    active_minutes,
    active_users,
    feature_families,
    first_value_events,
    failed_exports,
    api_calls,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from usage
