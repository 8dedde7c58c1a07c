-- One row per customer known to the product (it has an account there, or somebody used it) and product (or 'all'): how
-- often, how long, with which features, and the cohort it is held in. The windows are exactly 7 and 28 dates, the last
-- one being the date of the last second before as_of.
-- Hazard: the cohort was decided last Monday and is held against noise (int_usage_cohorts__held), so it need not be the
-- band that today's numbers fall into.

{% set last_date = 'cast(' ~ dbt.dateadd('second', -1, as_of()) ~ ' as date)' %}
{% set begins_after = dbt.dateadd('day', -28, last_date) %}

with

usage as (

    select
        customer_id,
        product,
        usage_date,
        qualifying_events,
        first_value_events,
        sessions,
        active_minutes,
        failed_exports,
        api_calls
    from {{ ref('int_usage__daily') }}

),

customers as (

    select customer_id
    from {{ ref('int_customers__resolved') }}
    where has_product
    union
    select customer_id from usage

),

actor_usage as (

    select
        source_record_type,
        source_record_id,
        actor_id,
        product
    from {{ ref('int_actor_usage__daily') }}
    where
        actor_type = 'user'
        and qualifying_events > 0
        and usage_date < {{ as_of() }}
        and usage_date > {{ begins_after }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

features as (

    select
        customer_id,
        product,
        feature_family,
        event_share_28d,
        family_rank
    from {{ ref('int_feature_usage__windowed') }}

),

cohorts as (

    select
        customer_id,
        product,
        usage_cohort,
        frequency_band,
        duration_band,
        feature_mix,
        usage_rule_version,
        entered_at
    from {{ ref('int_usage_cohorts__held') }}
    where left_at is null

),

products as (

    select distinct product from {{ ref('usage_cohort_bands') }}

),

spine as (

    select
        customers.customer_id,
        products.product
    from customers
    cross join products

),

-- frequency and duration: only days with a qualifying event are active
measured as (

    select
        customer_id,
        product,
        {%- for measure in ['qualifying_events', 'sessions', 'active_minutes', 'failed_exports', 'api_calls'] %}
        cast(sum(case when usage_date > {{ begins_after }} then {{ measure }} else 0 end) as bigint)
            as {{ measure }}_28d,
        {%- endfor %}
        min(case when qualifying_events > 0 then usage_date end) as first_active_on,
        max(case when qualifying_events > 0 then usage_date end) as last_active_on,
        min(case when first_value_events > 0 then usage_date end) as first_value_on,
        count(*) filter (
            where qualifying_events > 0 and usage_date > {{ dbt.dateadd('day', -7, last_date) }}
        ) as l7,
        count(*) filter (
            where qualifying_events > 0 and usage_date > {{ begins_after }}
        ) as l28,
        count(*) filter (
            where
            qualifying_events > 0
            and usage_date > {{ dbt.dateadd('day', -56, last_date) }}
            and usage_date <= {{ begins_after }}
        ) as l28_before
    from usage
    group by customer_id, product

),

-- how many different people in the window? daily counts cannot be added up
active_people as (

    select distinct
        identities.customer_id,
        actor_usage.product,
        actor_usage.actor_id
    from actor_usage
    inner join identities
        on
            actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id

),

-- who uses two products is one person in all
people as (

    select
        customer_id,
        product,
        count(*) as active_users_28d
    from active_people
    group by customer_id, product
    union all
    select
        customer_id,
        'all' as product,
        count(distinct actor_id) as active_users_28d
    from active_people
    group by customer_id

),

-- breadth and mix
mixed as (

    select
        customer_id,
        product,
        count(*) as feature_families_28d,
        max(case when family_rank = 1 then feature_family end) as top_feature_family,
        max(case when family_rank = 1 then event_share_28d end) as top_family_share
    from features
    group by customer_id, product

),

joined as (

    select
        spine.customer_id,
        spine.product,
        measured.first_active_on,
        measured.last_active_on,
        measured.first_value_on,
        cast(coalesce(measured.l7, 0) as bigint) as l7,
        cast(coalesce(measured.l28, 0) as bigint) as l28,
        cast(coalesce(measured.l28_before, 0) as bigint) as l28_before,
        coalesce(measured.qualifying_events_28d, 0) as qualifying_events_28d,
        coalesce(measured.sessions_28d, 0) as sessions_28d,
        coalesce(measured.active_minutes_28d, 0) as active_minutes_28d,
        cast(coalesce(people.active_users_28d, 0) as bigint) as active_users_28d,
        coalesce(measured.failed_exports_28d, 0) as failed_exports_28d,
        coalesce(measured.api_calls_28d, 0) as api_calls_28d,
        cast(coalesce(mixed.feature_families_28d, 0) as bigint) as feature_families_28d,
        mixed.top_feature_family,
        mixed.top_family_share,
        -- per active day; null when there was none, which is different from zero minutes on a day
        cast(measured.active_minutes_28d / nullif(cast(measured.l28 as double), 0) as decimal(18, 4))
            as minutes_per_active_day,
        cast(measured.qualifying_events_28d / nullif(cast(measured.l28 as double), 0) as decimal(18, 4))
            as events_per_active_day
    from spine
    left join measured
        on
            spine.customer_id = measured.customer_id
            and spine.product = measured.product
    left join people
        on
            spine.customer_id = people.customer_id
            and spine.product = people.product
    left join mixed
        on
            spine.customer_id = mixed.customer_id
            and spine.product = mixed.product

)

select
    joined.*,
    cohorts.usage_rule_version,
    cohorts.frequency_band,
    cohorts.duration_band,
    cohorts.feature_mix,
    cohorts.usage_cohort,
    cohorts.entered_at as usage_cohort_entered_at
from joined
left join cohorts
    on
        joined.customer_id = cohorts.customer_id
        and joined.product = cohorts.product
