-- One row per customer, product (or 'all') and calendar day (UTC) up to as_of on which the customer's people or
-- integrations sent a track event.
-- Minutes are person-minutes: two colleagues in the same minute are two. 'all' is counted over all products and is not
-- the sum of them: a session or a minute that touches two products is one there.
-- Hazard: usage that no identity explains is not in here; assert_usage_conserves_events counts it.

with

actor_usage as (

    select
        source_record_type,
        source_record_id,
        actor_type,
        actor_id,
        product,
        feature_family,
        usage_date,
        events,
        qualifying_events,
        first_value_events,
        sessions_in_product,
        sessions_overall,
        minutes_in_product,
        minutes_overall,
        failed_exports,
        api_calls
    from {{ ref('int_actor_usage__daily') }}
    where source_record_type != 'calendar' and usage_date < {{ as_of() }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

attributed as (

    select
        identities.customer_id,
        actor_usage.*
    from actor_usage
    inner join identities
        on
            actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id

),

-- people are counted per product; over all products they are counted anew
per_product as (

    select
        customer_id,
        product,
        usage_date,
        sum(events) as events,
        sum(qualifying_events) as qualifying_events,
        sum(first_value_events) as first_value_events,
        sum(sessions_in_product) as sessions,
        sum(minutes_in_product) as active_minutes,
        count(distinct case when actor_type = 'user' and qualifying_events > 0 then actor_id end) as active_users,
        count(distinct case when qualifying_events > 0 then feature_family end) as feature_families,
        sum(failed_exports) as failed_exports,
        sum(api_calls) as api_calls
    from attributed
    group by customer_id, product, usage_date

),

-- over all products: families of different products are different features, people are the same people
over_all as (

    select
        customer_id,
        'all' as product,
        usage_date,
        sum(events) as events,
        sum(qualifying_events) as qualifying_events,
        sum(first_value_events) as first_value_events,
        sum(sessions_overall) as sessions,
        sum(minutes_overall) as active_minutes,
        count(distinct case when actor_type = 'user' and qualifying_events > 0 then actor_id end) as active_users,
        count(distinct case when qualifying_events > 0 then product || '.' || feature_family end) as feature_families,
        sum(failed_exports) as failed_exports,
        sum(api_calls) as api_calls
    from attributed
    group by customer_id, usage_date

),

unioned as (

    select * from per_product
    union all
    select * from over_all

)

select
    customer_id,
    product,
    usage_date,
    cast(events as bigint) as events,
    cast(qualifying_events as bigint) as qualifying_events,
    cast(first_value_events as bigint) as first_value_events,
    cast(sessions as bigint) as sessions,
    cast(active_minutes as bigint) as active_minutes,
    cast(active_users as bigint) as active_users,
    cast(feature_families as bigint) as feature_families,
    cast(failed_exports as bigint) as failed_exports,
    cast(api_calls as bigint) as api_calls
from unioned
