-- `stopped`: no X for T after the last one, dated at the end of T. An X exactly then ends the silence in time.
-- `restarted`: the first X after more than T without any. The very first X is a beginning, not a return.
-- Of use only the instants around a silence matter. Before a silence the last event of its instant is the one that
-- counts, after it the first, and `shown` has both.

{% macro signals_silent_uses() %}
silent_uses as (

    select
        sounds.sound,
        sounds.shortest_silence,
        uses.customer_number,
        uses.occurred_at,
        uses.previous_at,
        uses.next_at
    from uses_in_order as uses
    inner join sounds
        on
            sounds.is_use_by_instant
            and not sounds.is_first_of_day
            and (
                uses.next_at is null
                or uses.next_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'uses.occurred_at') }}
                or uses.occurred_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'uses.previous_at') }}
            )
    where sounds.shortest_silence is not null

),
{% endmacro %}


{% macro signals_stopped_restarted() %}
-- what may fall silent, with its neighbours
neighboured as (

    select
        sound,
        shortest_silence,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at as first_received_at,
        event_id as first_event_id,
        received_at as last_received_at,
        event_id as last_event_id,
        lag(occurred_at) over stream as previous_at,
        lag(event_id) over stream as previous_event_id,
        lead(occurred_at) over stream as next_at
    from heard
    where shortest_silence is not null
    window stream as (
        partition by sound, customer_number, user_key
        order by occurred_at, event_id
    )
    union all
    select
        silent.sound,
        silent.shortest_silence,
        silent.customer_number,
        '' as user_key,
        null as user_id,
        silent.occurred_at,
        shown.first_received_at,
        shown.first_event_id,
        shown.last_received_at,
        shown.last_event_id,
        silent.previous_at,
        shown_before.last_event_id as previous_event_id,
        silent.next_at
    from silent_uses as silent
    inner join shown
        on {{ same_use('silent', 'shown') }}
    left join shown as shown_before
        on
            silent.customer_number = shown_before.customer_number
            and silent.previous_at = shown_before.occurred_at

),

silences as (

    select
        sound,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        last_received_at as received_at,
        last_event_id as event_id,
        next_at
    from neighboured
    where next_at is null or next_at > {{ dbt.dateadd('second', 'shortest_silence', 'occurred_at') }}

),

stopping as (

    select
        event.*,
        signal.signal_number,
        signal.observed_through_at,
        {{ dbt.dateadd('second', 'signal.within_seconds', 'event.occurred_at') }} as deadline_at
    from silences as event
    inner join listeners as signal
        on event.sound = signal.sound
    where signal.kind = 'stopped'

),

candidates_stopped as (

    select
        {{ candidate_columns('stopping', 'stopping', 'stopping.deadline_at', 'stopping.received_at') }},
        case when stopping.deadline_at < stopping.observed_through_at then 'fired' else 'unknown' end as outcome,
        stopping.event_id as proving_event_ids,
        1 as proof_count,
        stopping.occurred_at as proof_from,
        stopping.deadline_at as proof_to
    from stopping
    where
        stopping.deadline_at < {{ as_of() }}
        and (stopping.next_at is null or stopping.next_at > stopping.deadline_at)

),

candidates_restarted as (

    select
        {{ candidate_columns('signal', 'event', 'event.occurred_at', 'event.first_received_at') }},
        'fired' as outcome,
        event.previous_event_id || ',' || event.first_event_id as proving_event_ids,
        2 as proof_count,
        event.previous_at as proof_from,
        event.occurred_at as proof_to
    from neighboured as event
    inner join listeners as signal
        on event.sound = signal.sound
    where
        signal.kind = 'restarted'
        and event.occurred_at > {{ dbt.dateadd('second', 'signal.within_seconds', 'event.previous_at') }}

),
{% endmacro %}
