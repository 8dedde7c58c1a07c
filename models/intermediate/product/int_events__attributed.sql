-- One row per message that happened and was received before as_of, tied to the customer its identifiers resolve to
-- today. A view over the incremental int_events__deduplicated on purpose: identities are merged and split after the
-- event was loaded, and a customer id stored with the event would have to be rewritten through the whole history. The
-- look-up is one hash join over the identities, and readers' filters reach the event table underneath. customer_id
-- stays null when no identity is known; those events are counted by assert_usage_conserves_events.
{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('int_events__deduplicated') }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

event_list as (

    select
        product,
        event_name,
        feature_family,
        is_qualifying
    from {{ ref('product_events') }}

)

select
    ---------- ids
    events.event_id,
    identities.customer_id,
    events.user_id,
    events.anonymous_id,
    events.account_id,
    events.source_record_type,
    events.source_record_id,
    events.actor_id,

    ---------- strings
    events.event_type,
    events.event_name,
    events.product,
    event_list.feature_family,
    events.properties,
    events.utm_source,
    events.utm_medium,
    events.utm_campaign,

    ---------- booleans
    coalesce(event_list.is_qualifying, false) as is_qualifying,

    ---------- dates
    events.received_date,

    ---------- timestamps
    events.occurred_at,
    events.received_at
from events
left join identities
    on
        events.source_record_type = identities.source_record_type
        and events.source_record_id = identities.source_record_id
left join event_list
    on
        events.event_type = 'track'
        and events.product = event_list.product
        and events.event_name = event_list.event_name
where
    events.occurred_at < {{ as_of() }}
    -- what arrived later was not known then: a replayed day sees what was seen
    and events.received_at < {{ as_of() }}
