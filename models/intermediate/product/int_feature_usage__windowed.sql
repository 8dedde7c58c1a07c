-- One row per customer, product (or 'all') and feature family used in the last 28 dates, with its share of the
-- qualifying events of those dates: the feature mix. Families of the total carry their product's name
-- ('esign.signing').

with

actor_usage as (

    select
        source_record_type,
        source_record_id,
        product,
        feature_family,
        usage_date,
        qualifying_events
    from {{ ref('int_actor_usage__daily') }}
    where
        qualifying_events > 0
        and usage_date < {{ as_of() }}
        and usage_date > {{ dbt.dateadd('day', -28, 'cast(' ~ dbt.dateadd('second', -1, as_of()) ~ ' as date)') }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

per_product as (

    select
        identities.customer_id,
        actor_usage.product,
        actor_usage.feature_family,
        cast(sum(actor_usage.qualifying_events) as bigint) as qualifying_events_28d
    from actor_usage
    inner join identities
        on
            actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id
    group by identities.customer_id, actor_usage.product, actor_usage.feature_family

),

with_total as (

    select * from per_product
    union all
    select
        customer_id,
        'all' as product,
        product || '.' || feature_family as feature_family,
        qualifying_events_28d
    from per_product

)

select
    customer_id,
    product,
    feature_family,
    qualifying_events_28d,
    cast(
        qualifying_events_28d
        / cast(sum(qualifying_events_28d) over (partition by customer_id, product) as double) as decimal(18, 4)
    ) as event_share_28d,
    -- alphabetical among equals, so that the largest family is the same in every build
    row_number() over (
        partition by customer_id, product
        order by qualifying_events_28d desc, feature_family asc
    ) as family_rank
from with_total
