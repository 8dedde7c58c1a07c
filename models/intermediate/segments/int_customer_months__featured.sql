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

    select
        customer_id,
        month,
        is_open_month,
        closing_mrr,
        mrr_past_due,
        mrr_scheduled_churn,
        mrr_paused
    from {{ ref('int_mrr__bridged') }}

),

states as (

    select
        customer_id,
        stripe_subscription_id,
        plan,
        billing_interval,
        seats,
        valid_from,
        valid_to
    from {{ ref('int_subscription_states__historized') }}
    where mrr_units > 0

),

plans as (

    select
        plan,
        plan_rank
    from {{ ref('plans') }}

),

usage as (

    select
        customer_id,
        usage_date,
        active_minutes
    from {{ ref('int_usage__daily') }}
    where product = 'all' and qualifying_events > 0

),

actor_usage as (

    select
        source_record_type,
        source_record_id,
        actor_type,
        actor_id,
        product,
        feature_family,
        usage_date,
        qualifying_events,
        failed_exports,
        api_calls
    from {{ ref('int_actor_usage__daily') }}
    where qualifying_events > 0 and usage_date < {{ as_of() }}

),

events as (

    select
        customer_id,
        event_name,
        occurred_at
    from {{ ref('int_events__attributed') }}
    where
        event_name in ('plan_limit_reached', 'pricing_viewed', 'user_invited', 'integration_completed')
        and occurred_at < {{ as_of() }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

tickets as (

    select
        customer_id,
        created_at,
        rated_at,
        satisfaction_score
    from {{ ref('int_tickets__attributed') }}
    where not is_own_escalation

),

touches as (

    select
        customer_id,
        channel,
        touched_at
    from {{ ref('int_acquisition__first_touched') }}

),

-- actions of ours that left: what a customer did after one says less about what the customer would have done
deliveries as (

    select
        customer_id,
        sent_at
    from {{ ref('int_deliveries__committed') }}

),

-- the end of every month, and as_of for the month that has none yet
ends as (

    select
        bridge.*,
        least({{ month_starts_at(dbt.dateadd('month', 1, 'bridge.month')) }}, {{ as_of() }}) as observed_until
    from bridge

),

-- the last date that has begun: 28 dates end with it
dated as (

    select
        *,
        cast({{ dbt.dateadd('second', -1, 'observed_until') }} as date) as last_date
    from ends

),

subscribed as (

    select
        dated.customer_id,
        dated.month,
        cast(sum(states.seats) as bigint) as seats,
        max(plans.plan_rank) as plan_rank,
        max(case when states.billing_interval = 'year' then 1 else 0 end) as is_yearly
    from dated
    inner join states
        on
            dated.customer_id = states.customer_id
            and dated.observed_until > states.valid_from
            and (states.valid_to is null or dated.observed_until <= states.valid_to)
    left join plans on states.plan = plans.plan
    group by dated.customer_id, dated.month

),

first_paid as (

    select
        customer_id,
        min(valid_from) as first_paid_at
    from states
    group by customer_id

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
        dated.customer_id,
        dated.month,
        min(365 - {{ dbt.datediff('years.year_began_at', 'dated.observed_until', 'day') }} % 365) as days_to_anniversary
    from dated
    inner join years
        on
            dated.customer_id = years.customer_id
            and dated.observed_until > years.year_began_at
    group by dated.customer_id, dated.month

),

-- every window below is at most 56 dates, so a day of use meets two or three ends of months
daily_use as (

    select
        dated.customer_id,
        dated.month,
        max(usage.usage_date) as last_used_on,
        count(case when usage.usage_date > {{ dbt.dateadd('day', -7, 'dated.last_date') }} then 1 end) as l7,
        count(case when usage.usage_date > {{ dbt.dateadd('day', -28, 'dated.last_date') }} then 1 end) as l28,
        count(case when usage.usage_date <= {{ dbt.dateadd('day', -28, 'dated.last_date') }} then 1 end) as l28_before,
        sum(
            case
                when usage.usage_date > {{ dbt.dateadd('day', -28, 'dated.last_date') }} then usage.active_minutes
                else 0
            end
        ) as active_minutes_28d
    from dated
    inner join usage
        on
            dated.customer_id = usage.customer_id
            and dated.last_date >= usage.usage_date
            and {{ dbt.dateadd('day', -56, 'dated.last_date') }} < usage.usage_date
    group by dated.customer_id, dated.month

),

-- who has been quiet for longer than that, since when?
first_and_last_use as (

    select
        dated.customer_id,
        dated.month,
        max(usage.usage_date) as last_used_on
    from dated
    inner join usage
        on
            dated.customer_id = usage.customer_id
            and {{ dbt.dateadd('day', -56, 'dated.last_date') }} >= usage.usage_date
    group by dated.customer_id, dated.month

),

attributed_use as (

    select
        identities.customer_id,
        actor_usage.usage_date,
        actor_usage.product || '.' || actor_usage.feature_family as feature_family,
        case when actor_usage.actor_type = 'user' then actor_usage.actor_id end as user_id,
        actor_usage.failed_exports,
        actor_usage.api_calls
    from actor_usage
    inner join identities
        on
            actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id

),

wide_use as (

    select
        dated.customer_id,
        dated.month,
        count(distinct attributed_use.feature_family) as feature_families_28d,
        count(distinct attributed_use.user_id) as active_users_28d,
        sum(attributed_use.failed_exports) as failed_exports_28d,
        sum(attributed_use.api_calls) as api_calls_28d
    from dated
    inner join attributed_use
        on
            dated.customer_id = attributed_use.customer_id
            and dated.last_date >= attributed_use.usage_date
            and {{ dbt.dateadd('day', -28, 'dated.last_date') }} < attributed_use.usage_date
    group by dated.customer_id, dated.month

),

telling_events as (

    select
        dated.customer_id,
        dated.month,
        count(case when events.event_name = 'plan_limit_reached' then 1 end) as limits_reached_56d,
        count(case when events.event_name = 'pricing_viewed' then 1 end) as prices_viewed_56d,
        count(case when events.event_name = 'user_invited' then 1 end) as users_invited_56d
    from dated
    inner join events
        on
            dated.customer_id = events.customer_id
            and dated.observed_until > events.occurred_at
            and {{ dbt.dateadd('day', -56, 'dated.observed_until') }} <= events.occurred_at
    group by dated.customer_id, dated.month

),

integrated as (

    select
        customer_id,
        min(occurred_at) as first_integrated_at
    from events
    where event_name = 'integration_completed'
    group by customer_id

),

ticketed as (

    select
        dated.customer_id,
        dated.month,
        count(*) as tickets_56d,
        count(case when tickets.satisfaction_score = 'bad' and tickets.rated_at < dated.observed_until then 1 end)
            as bad_ratings_56d
    from dated
    inner join tickets
        on
            dated.customer_id = tickets.customer_id
            and dated.observed_until > tickets.created_at
            and {{ dbt.dateadd('day', -56, 'dated.observed_until') }} <= tickets.created_at
    group by dated.customer_id, dated.month

),

treated as (

    select distinct
        dated.customer_id,
        dated.month
    from dated
    inner join deliveries
        on
            dated.customer_id = deliveries.customer_id
            and dated.observed_until <= deliveries.sent_at
            and {{ dbt.dateadd('month', 1, 'dated.observed_until') }} > deliveries.sent_at

),

featured as (

    select
        dated.customer_id,
        dated.month,
        dated.is_open_month as is_current,
        dated.observed_until,
        dated.closing_mrr as mrr,

        ---------- features
        coalesce(touches.channel, 'unknown') as channel,
        cast({{ dbt.datediff('first_paid.first_paid_at', 'dated.observed_until', 'day') }} as bigint) as days_paying,
        subscribed.seats,
        cast(subscribed.plan_rank as bigint) as plan_rank,
        cast(case when subscribed.is_yearly = 1 then renewals.days_to_anniversary end as bigint) as days_to_anniversary,
        cast(case when dated.mrr_past_due > 0 then 1 else 0 end as bigint) as is_past_due,
        cast(
            {{ dbt.datediff(
                'coalesce(daily_use.last_used_on, first_and_last_use.last_used_on)', 'dated.last_date', 'day'
            ) }} as bigint
        ) as days_since_use,
        cast(coalesce(daily_use.l7, 0) as bigint) as l7,
        cast(coalesce(daily_use.l28, 0) as bigint) as l28,
        cast(coalesce(daily_use.l28_before, 0) as bigint) as l28_before,
        -- two days more on each side, so that from one day to none is not a fall from all to nothing
        (coalesce(daily_use.l28, 0) + 2) / cast(coalesce(daily_use.l28_before, 0) + 2 as double) as l28_trend,
        coalesce(daily_use.active_minutes_28d, 0)
        / cast(nullif(coalesce(daily_use.l28, 0), 0) as double) as minutes_per_active_day,
        cast(coalesce(wide_use.feature_families_28d, 0) as bigint) as feature_families_28d,
        coalesce(wide_use.active_users_28d, 0) / cast(nullif(subscribed.seats, 0) as double) as active_seat_share,
        cast(coalesce(wide_use.failed_exports_28d, 0) as bigint) as failed_exports_28d,
        cast(coalesce(wide_use.api_calls_28d, 0) as bigint) as api_calls_28d,
        cast(coalesce(telling_events.limits_reached_56d, 0) as bigint) as limits_reached_56d,
        cast(coalesce(telling_events.prices_viewed_56d, 0) as bigint) as prices_viewed_56d,
        cast(coalesce(telling_events.users_invited_56d, 0) as bigint) as users_invited_56d,
        cast(
            case when integrated.first_integrated_at < dated.observed_until then 1 else 0 end as bigint
        ) as is_integrated,
        cast(coalesce(ticketed.tickets_56d, 0) as bigint) as tickets_56d,
        cast(coalesce(ticketed.bad_ratings_56d, 0) as bigint) as bad_ratings_56d,

        -- who cannot be scored, and why; whoever is leaving already needs no estimate
        case
            when dated.mrr_scheduled_churn >= dated.closing_mrr then 'has given notice'
            when {{ dbt.datediff('first_paid.first_paid_at', 'dated.observed_until', 'day') }} < 28
                then 'too short a history'
            when daily_use.customer_id is null and first_and_last_use.customer_id is null
                then 'no usage known'
        end as not_scored_because,

        ---------- outcomes, of the month after
        treated.customer_id is not null as was_treated,
        lead(dated.is_open_month) over customer_in_time as is_next_open,
        lead(dated.closing_mrr) over customer_in_time as next_mrr,
        lead(dated.mrr_paused) over customer_in_time as next_mrr_paused,
        lead(dated.mrr_scheduled_churn) over customer_in_time as next_scheduled_churn,
        lead(subscribed.seats) over customer_in_time as next_seats,
        lead(subscribed.plan_rank) over customer_in_time as next_plan_rank
    from dated
    left join subscribed
        on
            dated.customer_id = subscribed.customer_id
            and dated.month = subscribed.month
    left join first_paid on dated.customer_id = first_paid.customer_id
    left join renewals
        on
            dated.customer_id = renewals.customer_id
            and dated.month = renewals.month
    left join daily_use
        on
            dated.customer_id = daily_use.customer_id
            and dated.month = daily_use.month
    left join first_and_last_use
        on
            dated.customer_id = first_and_last_use.customer_id
            and dated.month = first_and_last_use.month
    left join wide_use
        on
            dated.customer_id = wide_use.customer_id
            and dated.month = wide_use.month
    left join telling_events
        on
            dated.customer_id = telling_events.customer_id
            and dated.month = telling_events.month
    left join ticketed
        on
            dated.customer_id = ticketed.customer_id
            and dated.month = ticketed.month
    left join treated
        on
            dated.customer_id = treated.customer_id
            and dated.month = treated.month
    left join integrated on dated.customer_id = integrated.customer_id
    left join touches
        on
            dated.customer_id = touches.customer_id
            and dated.observed_until > touches.touched_at
    window customer_in_time as (partition by dated.customer_id order by dated.month)

)

select
    customer_id,
    month,
    is_current,
    observed_until,
    mrr,
    channel,
    days_paying,
    seats,
    plan_rank,
    days_to_anniversary,
    is_past_due,
    days_since_use,
    l7,
    l28,
    l28_before,
    cast(l28_trend as decimal(18, 4)) as l28_trend,
    cast(minutes_per_active_day as decimal(18, 4)) as minutes_per_active_day,
    feature_families_28d,
    cast(active_seat_share as decimal(18, 4)) as active_seat_share,
    failed_exports_28d,
    api_calls_28d,
    limits_reached_56d,
    prices_viewed_56d,
    users_invited_56d,
    is_integrated,
    tickets_56d,
    bad_ratings_56d,
    not_scored_because,
    was_treated,
    -- null until the month after has closed
    case
        when not is_next_open
            then (next_mrr = 0 and next_mrr_paused = 0) or (next_mrr > 0 and next_scheduled_churn >= next_mrr)
    end as has_left,
    case
        when not is_next_open
            then next_mrr > 0 and (next_seats > seats or next_plan_rank > plan_rank)
    end as has_upgraded
from featured
where mrr > 0
