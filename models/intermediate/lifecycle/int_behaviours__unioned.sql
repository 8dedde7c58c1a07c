-- One row per behaviour and event: what the signals of the playbook listen to, out of all silos, in one shape.
-- Hazard: the same event may serve several behaviours (an export is also activity) and the same message may arrive
-- twice; signals count rows, so one event is one row per behaviour here, whatever the order of arrival.

with

listened_to as (

    select behaviour from {{ ref('signal_definitions') }}
    union
    select until_behaviour as behaviour from {{ ref('signal_definitions') }}
    where until_behaviour is not null

),

behaviours as (

    select behaviours.*
    from {{ ref('behaviours') }} as behaviours
    inner join listened_to
        on behaviours.behaviour = listened_to.behaviour

),

product_events as (

    select
        customer_id,
        user_id,
        event_id,
        event_name,
        product,
        occurred_at,
        received_at,
        properties
    from {{ ref('int_events__attributed') }}
    where
        customer_id is not null
        and occurred_at < {{ as_of() }}

),

activity as (

    select * from {{ ref('int_activity__daily_edged') }}

),

derived as (

    select
        customer_id,
        behaviour,
        occurred_at,
        event_id,
        properties,
        'stripe' as source
    from {{ ref('int_billing_behaviours__derived') }}
    union all
    select
        customer_id,
        behaviour,
        occurred_at,
        event_id,
        properties,
        'zendesk' as source
    from {{ ref('int_support_behaviours__derived') }}
    union all
    select
        customer_id,
        behaviour,
        occurred_at,
        event_id,
        properties,
        'bitrix24' as source
    from {{ ref('int_crm_behaviours__derived') }}

),

-- which product events carry a behaviour by name, product and property?
named as (

    select
        product_events.customer_id,
        product_events.user_id,
        behaviours.behaviour,
        product_events.occurred_at,
        product_events.received_at,
        product_events.event_id,
        behaviours.source,
        product_events.properties
    from product_events
    inner join behaviours
        on product_events.event_name = behaviours.event_name
    where
        behaviours.source = 'product'
        and behaviours.grain = 'event'
        and (behaviours.product is null or product_events.product = behaviours.product)
        and (
            behaviours.property_name is null
            or {{ json_field('product_events.properties', 'behaviours.property_name') }} = behaviours.property_value
        )

),

-- activity as such: the first event of a day, or both ends of it
active as (

    select
        activity.customer_id,
        behaviours.behaviour,
        activity.first_at as occurred_at,
        activity.first_received_at as received_at,
        activity.first_event_id as event_id,
        behaviours.source
    from activity
    inner join behaviours
        on behaviours.grain in ('day', 'day_edges')
    union all
    select
        activity.customer_id,
        behaviours.behaviour,
        activity.last_at as occurred_at,
        activity.last_received_at as received_at,
        activity.last_event_id as event_id,
        behaviours.source
    from activity
    inner join behaviours
        on behaviours.grain = 'day_edges'
    where activity.last_at > activity.first_at

),

elsewhere as (

    select
        derived.customer_id,
        behaviours.behaviour,
        derived.occurred_at,
        derived.event_id,
        derived.source,
        derived.properties
    from derived
    inner join behaviours
        on
            derived.behaviour = behaviours.event_name
            and derived.source = behaviours.source
    where
        derived.customer_id is not null
        and derived.occurred_at < {{ as_of() }}

),

-- one event is one row per behaviour; equal copies do not differ in anything that counts. Ends of days are unique
-- already
deduplicated as (

    select *
    from (
        select
            customer_id,
            user_id,
            behaviour,
            occurred_at,
            received_at,
            event_id,
            source,
            cast(properties as {{ dbt.type_string() }}) as properties
        from named
        union all
        select
            customer_id,
            cast(null as {{ dbt.type_string() }}) as user_id,
            behaviour,
            occurred_at,
            cast(null as timestamp) as received_at,
            event_id,
            source,
            cast(properties as {{ dbt.type_string() }}) as properties
        from elsewhere
    ) as copies
    qualify row_number() over (
        partition by behaviour, event_id
        order by occurred_at, received_at nulls last, customer_id
    ) = 1

)

select * from deduplicated
union all
select
    customer_id,
    cast(null as {{ dbt.type_string() }}) as user_id,
    behaviour,
    occurred_at,
    received_at,
    event_id,
    source,
    cast(null as {{ dbt.type_string() }}) as properties
from active
