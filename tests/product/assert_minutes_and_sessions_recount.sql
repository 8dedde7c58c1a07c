-- Guards the arithmetic of int_actor_usage__daily, which sees sessions and minutes by looking one event back and only
-- at the days it computes. Here they are recounted the long way over the whole history: minutes by a distinct count,
-- sessions by numbering them. A day that was computed without its eve in sight would show a session too many.

{% set session_gap_seconds = var('session_gap_seconds', 1800) | int %}

with

qualifying as (

    select
        events.actor_id,
        events.product,
        events.occurred_at,
        cast(events.occurred_at as date) as usage_date
    from {{ ref('int_events__attributed') }} as events
    where events.event_type = 'track' and events.is_qualifying

),

sessions as (

    select
        product,
        usage_date,
        count(distinct actor_id || cast(date_trunc('minute', occurred_at) as {{ dbt.type_string() }}))
            as active_minutes,
        count(*) filter (
            where previous_at is null
            or {{ dbt.datediff('previous_at', 'occurred_at', 'microsecond') }} > {{ session_gap_seconds }} * 1000000
        ) as sessions
    from (
        select
            *,
            max(occurred_at) over (
                partition by actor_id, product
                order by occurred_at
                rows between unbounded preceding and 1 preceding
            ) as previous_at
        from qualifying
    ) as with_previous
    group by product, usage_date

),

stored as (

    select
        product,
        usage_date,
        sum(minutes_in_product) as active_minutes,
        sum(sessions_in_product) as sessions
    from {{ ref('int_actor_usage__daily') }}
    where
        source_record_type != 'calendar'
        and qualifying_events > 0
        and usage_date < {{ as_of() }}
    group by product, usage_date

)

select
    coalesce(sessions.product, stored.product) as product,
    coalesce(sessions.usage_date, stored.usage_date) as usage_date,
    sessions.active_minutes,
    stored.active_minutes as stored_active_minutes,
    sessions.sessions,
    stored.sessions as stored_sessions
from sessions
full outer join stored
    on
        sessions.product = stored.product
        and sessions.usage_date = stored.usage_date
where
    sessions.active_minutes is distinct from stored.active_minutes
    or sessions.sessions is distinct from stored.sessions
