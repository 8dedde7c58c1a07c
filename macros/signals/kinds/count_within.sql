-- `count_within`: N of X within T, an exact sliding window: event i completes it when event i-(N-1) is at most T older,
-- both ends included. No buckets and no tumbling windows, so no burst is missed at a border. With re-arm `rising_edge`
-- only the event that makes it true counts, not those that keep it true. Days of use are counted without their event
-- ids, which `shown` has.

{% macro signals_counting() %}
-- what is counted, in order
placed as (

    select
        sound,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at,
        event_id,
        row_number() over stream as place,
        lag(occurred_at) over stream as previous_at
    from heard
    where is_counted
    window stream as (
        partition by sound, customer_number, user_key
        order by occurred_at, event_id
    )
    union all
    select
        sounds.sound,
        days_of_use.customer_number,
        '' as user_key,
        null as user_id,
        days_of_use.occurred_at,
        null as received_at,
        null as event_id,
        row_number() over days as place,
        lag(days_of_use.occurred_at) over days as previous_at
    from days_of_use
    inner join sounds
        on sounds.is_use_by_instant and sounds.is_first_of_day and sounds.is_counted
    window days as (
        partition by days_of_use.customer_number
        order by days_of_use.occurred_at
    )

),

-- which of them would be the N-th back?
counted as (

    select
        signal.signal_number,
        signal.rearm,
        signal.within_seconds,
        event.customer_number,
        event.user_key,
        event.user_id,
        event.occurred_at,
        event.received_at,
        event.event_id,
        event.previous_at,
        event.place,
        event.place - (signal.occurrences - 1) as place_back
    from placed as event
    inner join listeners as signal
        on event.sound = signal.sound
    where signal.kind = 'count_within'

),

-- the events with which a count is complete, because the N-th event back is still within the window; was it complete
-- before, by the event before and the one behind the N-th back?
completed as (

    select event.*
    from counted as event
    inner join counted as earliest
        on
            {{ same_track('event', 'earliest') }}
            and event.place_back = earliest.place
    where
        earliest.occurred_at >= {{ dbt.dateadd('second', '-event.within_seconds', 'event.occurred_at') }}
        and (
            event.rearm != 'rising_edge'
            or earliest.previous_at is null
            or earliest.previous_at < {{ dbt.dateadd('second', '-event.within_seconds', 'event.previous_at') }}
        )

),

-- every event that a complete count is made of
counting as (

    select
        latest.signal_number,
        latest.customer_number,
        latest.user_key,
        latest.user_id,
        latest.place as latest_place,
        latest.occurred_at as latest_at,
        proof.place,
        proof.occurred_at,
        proof.received_at,
        proof.event_id
    from completed as latest
    inner join counted as proof
        on
            {{ same_track('latest', 'proof') }}
            and proof.place between latest.place_back and latest.place

),
{% endmacro %}


{% macro signals_count_within() %}
candidates_count_within as (

    select
        {{ candidate_columns(
            'counting', 'counting', 'counting.latest_at', 'max(coalesce(counting.received_at, shown.first_received_at))'
        ) }},
        'fired' as outcome,
        {{ dbt.listagg(
            'coalesce(counting.event_id, shown.first_event_id)', "','", 'order by counting.place'
        ) }} as proving_event_ids,
        count(*) as proof_count,
        min(counting.occurred_at) as proof_from,
        max(counting.occurred_at) as proof_to
    from counting
    left join shown
        on
            {{ same_use('counting', 'shown') }}
            and counting.event_id is null
    group by
        counting.signal_number,
        counting.customer_number,
        counting.user_key,
        counting.user_id,
        counting.latest_place,
        counting.latest_at

),
{% endmacro %}
