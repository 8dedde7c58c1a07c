-- One row per paying customer and closed month, and one for the month that is open at as_of: what was known about the
-- customer at the end of the month (at as_of), and, once the month after has closed, what the customer did in it. The
-- person-period table from which scores are learned, to which they are applied and on which they are judged.
-- Why it exists: the same SQL gives the features of the past and of today, so that what was learned is what is applied.
-- Leaving is giving notice or being gone, whichever comes first, because nobody can be kept after the notice; a pause
-- is not leaving. An upgrade is more seats or a larger plan; a discount that ran out is more revenue and no upgrade.
-- Hazard: a feature may only look at what happened before observed_until; test_features_do_not_see_the_future holds
-- every column against that. Usage that arrived late counts on the day it happened, so the past knows a little more
-- than it did then. The state of a ticket is not used: its silo only knows the present one.

with

bridge as (

    select * from {{ ref('int_mrr__bridged') }}

),

states as (

    select * from {{ ref('int_subscription_states__historized') }}
    where mrr_units > 0

),

plans as (

    select * from {{ ref('plans') }}

),

usage as (

    select * from {{ ref('int_usage__daily') }}
    where product = 'all' and qualifying_events > 0

),

actor_usage as (

    select * from {{ ref('int_actor_usage__daily') }}
    where qualifying_events > 0 and usage_date < {{ as_of() }}

),

events as (

    select * from {{ ref('int_events__attributed') }}
    where
        event_name in ('plan_limit_reached', 'pricing_viewed', 'user_invited', 'integration_completed')
        and occurred_at < {{ as_of() }}

),

identities as (

    select * from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

tickets as (

    select * from {{ ref('int_tickets__attributed') }}
    where not is_own_escalation

),

touches as (

    select * from {{ ref('int_acquisition__first_touched') }}

),

-- actions of ours that left: what a customer did after one says less about what the customer would have done
deliveries as (

    select * from {{ ref('int_deliveries__committed') }}

),

-- the end of every month, and as_of for the month that has none yet
dated as (

    select
        *,
        least({{ month_starts_at(dbt.dateadd('month', 1, 'month')) }}, {{ as_of() }}) as observed_until
    from bridge

),

-- windows end there and are 7, 28 or 56 days long
ends as (

    select
        *,
        {{ dbt.dateadd('day', -7, 'observed_until') }} as since_7d,
        {{ dbt.dateadd('day', -28, 'observed_until') }} as since_28d,
        {{ dbt.dateadd('day', -56, 'observed_until') }} as since_56d
    from dated

),

-- what is counted, one below the other: what happened, when, and since when it is known. A day of use stands at its
-- midnight, so that a window of 28 days holds 28 dates
facts as (

    select
        customer_id,
        'active day' as fact,
        cast(usage_date as timestamp) as happened_at,
        cast(usage_date as timestamp) as known_at,
        active_minutes
    from usage

    union all

    select
        customer_id,
        event_name as fact,
        occurred_at as happened_at,
        occurred_at as known_at,
        0 as active_minutes
    from events

    union all

    select
        customer_id,
        'ticket' as fact,
        created_at as happened_at,
        created_at as known_at,
        0 as active_minutes
    from tickets

    union all

    ---------- counted with its ticket, but not known before it was given
    select
        customer_id,
        'bad rating' as fact,
        created_at as happened_at,
        rated_at as known_at,
        0 as active_minutes
    from tickets
    where satisfaction_score = 'bad'

),

-- a fact meets two or three ends of months
counted as (

    select
        ends.customer_id,
        ends.month,
        count(case when facts.fact = 'active day' and facts.happened_at >= ends.since_7d then 1 end) as l7,
        count(case when facts.fact = 'active day' and facts.happened_at >= ends.since_28d then 1 end) as l28,
        count(case when facts.fact = 'active day' and facts.happened_at < ends.since_28d then 1 end) as l28_before,
        sum(case when facts.happened_at >= ends.since_28d then facts.active_minutes else 0 end) as active_minutes_28d,
        count(case when facts.fact = 'plan_limit_reached' then 1 end) as limits_reached_56d,
        count(case when facts.fact = 'pricing_viewed' then 1 end) as prices_viewed_56d,
        count(case when facts.fact = 'user_invited' then 1 end) as users_invited_56d,
        count(case when facts.fact = 'ticket' then 1 end) as tickets_56d,
        count(case when facts.fact = 'bad rating' then 1 end) as bad_ratings_56d
    from ends
    left join facts
        on
            ends.customer_id = facts.customer_id
            and ends.since_56d <= facts.happened_at
            and ends.observed_until > facts.happened_at
            and ends.observed_until > facts.known_at
    group by ends.customer_id, ends.month

),

-- how widely was the product used, and by how many?
wide_use as (

    select
        ends.customer_id,
        ends.month,
        count(distinct actor_usage.product || '.' || actor_usage.feature_family) as feature_families_28d,
        count(distinct case when actor_usage.actor_type = 'user' then actor_usage.actor_id end) as active_users_28d,
        sum(actor_usage.failed_exports) as failed_exports_28d,
        sum(actor_usage.api_calls) as api_calls_28d
    from ends
    inner join identities on ends.customer_id = identities.customer_id
    inner join actor_usage
        on
            identities.source_record_type = actor_usage.source_record_type
            and identities.source_record_id = actor_usage.source_record_id
            and ends.since_28d <= actor_usage.usage_date
            and ends.observed_until > actor_usage.usage_date
    group by ends.customer_id, ends.month

),

-- the last day of use before the end of the month, however long ago: days and ends in one line, and the day of the last
-- day in it. A day and an end of the same instant: the day is not before the end
last_used as (

    select
        customer_id,
        month,
        max(usage_date) over (
            partition by customer_id
            order by happened_at, month nulls last
            rows between unbounded preceding and current row
        ) as last_used_on
    from (
        select
            customer_id,
            cast(null as date) as month,
            usage_date,
            cast(usage_date as timestamp) as happened_at
        from usage
        union all
        select
            customer_id,
            month,
            null as usage_date,
            observed_until as happened_at
        from ends
    ) as in_time
    qualify month is not null

),

-- what was subscribed to at the end of the month?
subscribed as (

    select
        ends.customer_id,
        ends.month,
        cast(sum(states.seats) as bigint) as seats,
        max(plans.plan_rank) as plan_rank,
        max(case when states.billing_interval = 'year' then 1 else 0 end) as is_yearly
    from ends
    inner join states
        on
            ends.customer_id = states.customer_id
            and ends.observed_until > states.valid_from
            and (states.valid_to is null or ends.observed_until <= states.valid_to)
    left join plans on states.plan = plans.plan
    group by ends.customer_id, ends.month

),

-- a year begins with the first state that is billed yearly, and again on each anniversary
years as (

    select
        customer_id,
        stripe_subscription_id,
        min(valid_from) as year_began_at
    from states
    where billing_interval = 'year'
    group by customer_id, stripe_subscription_id

),

renewals as (

    select
        ends.customer_id,
        ends.month,
        min(365 - {{ dbt.datediff('years.year_began_at', 'ends.observed_until', 'day') }} % 365) as days_to_anniversary
    from ends
    inner join years
        on
            ends.customer_id = years.customer_id
            and ends.observed_until > years.year_began_at
    group by ends.customer_id, ends.month

),

treated as (

    select distinct
        ends.customer_id,
        ends.month
    from ends
    inner join deliveries
        on
            ends.customer_id = deliveries.customer_id
            and ends.observed_until <= deliveries.sent_at
            and {{ dbt.dateadd('month', 1, 'ends.observed_until') }} > deliveries.sent_at

),

-- what happens once in the life of a customer
firsts as (

    select
        customer_id,
        min(paid_at) as first_paid_at,
        min(integrated_at) as first_integrated_at
    from (
        select
            customer_id,
            valid_from as paid_at,
            null as integrated_at
        from states
        union all
        select
            customer_id,
            null as paid_at,
            occurred_at as integrated_at
        from events
        where event_name = 'integration_completed'
    ) as instants
    group by customer_id

),

-- what stood when the month after had closed; null where there is none
followed as (

    select
        ends.*,
        subscribed.seats,
        subscribed.plan_rank,
        subscribed.is_yearly,
        lead(ends.is_open_month) over customer_in_time as is_next_open,
        lead(ends.closing_mrr) over customer_in_time as next_mrr,
        lead(ends.mrr_paused) over customer_in_time as next_mrr_paused,
        lead(ends.mrr_scheduled_churn) over customer_in_time as next_scheduled_churn,
        lead(subscribed.seats) over customer_in_time as next_seats,
        lead(subscribed.plan_rank) over customer_in_time as next_plan_rank
    from ends
    left join subscribed
        on
            ends.customer_id = subscribed.customer_id
            and ends.month = subscribed.month
    window customer_in_time as (partition by ends.customer_id order by ends.month)

)

select
    followed.customer_id,
    followed.month,
    followed.is_open_month as is_current,
    followed.observed_until,
    followed.closing_mrr as mrr,

    ---------- features
    coalesce(touches.channel, 'unknown') as channel,
    cast({{ dbt.datediff('firsts.first_paid_at', 'followed.observed_until', 'day') }} as bigint) as days_paying,
    followed.seats,
    cast(followed.plan_rank as bigint) as plan_rank,
    cast(case when followed.is_yearly = 1 then renewals.days_to_anniversary end as bigint) as days_to_anniversary,
    cast(case when followed.mrr_past_due > 0 then 1 else 0 end as bigint) as is_past_due,
    -- the last date that has begun counts as today
    cast(
        {{ dbt.datediff(
            'last_used.last_used_on', dbt.dateadd('second', -1, 'followed.observed_until'), 'day'
        ) }} as bigint
    ) as days_since_use,
    counted.l7,
    counted.l28,
    counted.l28_before,
    -- two days more on each side, so that from one day to none is not a fall from all to nothing
    cast(
        (counted.l28 + 2) / cast(counted.l28_before + 2 as double) as decimal(18, 4)
    ) as l28_trend,
    cast(
        counted.active_minutes_28d / cast(nullif(counted.l28, 0) as double) as decimal(18, 4)
    ) as minutes_per_active_day,
    coalesce(wide_use.feature_families_28d, 0) as feature_families_28d,
    cast(
        coalesce(wide_use.active_users_28d, 0) / cast(nullif(followed.seats, 0) as double) as decimal(18, 4)
    ) as active_seat_share,
    cast(coalesce(wide_use.failed_exports_28d, 0) as bigint) as failed_exports_28d,
    cast(coalesce(wide_use.api_calls_28d, 0) as bigint) as api_calls_28d,
    counted.limits_reached_56d,
    counted.prices_viewed_56d,
    counted.users_invited_56d,
    cast(
        case when firsts.first_integrated_at < followed.observed_until then 1 else 0 end as bigint
    ) as is_integrated,
    counted.tickets_56d,
    counted.bad_ratings_56d,

    -- who cannot be scored, and why; whoever is leaving already needs no estimate
    case
        when followed.mrr_scheduled_churn >= followed.closing_mrr then 'has given notice'
        when {{ dbt.datediff('firsts.first_paid_at', 'followed.observed_until', 'day') }} < 28
            then 'too short a history'
        when last_used.last_used_on is null then 'no usage known'
    end as not_scored_because,

    ---------- outcomes, of the month after; null until it has closed
    treated.customer_id is not null as was_treated,
    case
        when not followed.is_next_open
            then
                (followed.next_mrr = 0 and followed.next_mrr_paused = 0)
                or (followed.next_mrr > 0 and followed.next_scheduled_churn >= followed.next_mrr)
    end as has_left,
    case
        when not followed.is_next_open
            then
                followed.next_mrr > 0
                and (followed.next_seats > followed.seats or followed.next_plan_rank > followed.plan_rank)
    end as has_upgraded
from followed
inner join counted
    on
        followed.customer_id = counted.customer_id
        and followed.month = counted.month
inner join last_used
    on
        followed.customer_id = last_used.customer_id
        and followed.month = last_used.month
left join wide_use
    on
        followed.customer_id = wide_use.customer_id
        and followed.month = wide_use.month
left join renewals
    on
        followed.customer_id = renewals.customer_id
        and followed.month = renewals.month
left join treated
    on
        followed.customer_id = treated.customer_id
        and followed.month = treated.month
left join firsts on followed.customer_id = firsts.customer_id
left join touches
    on
        followed.customer_id = touches.customer_id
        and followed.observed_until > touches.touched_at
where followed.closing_mrr > 0
