-- One macro per kind of evidence: the candidates of its signals, out of the CTEs of int_signals__occurred. They are macros
-- because a table per kind would be written and read ten times, and because all of them have to look at the same
-- customers in the same statement.
-- What they can rely on: `heard` has every event once per sound (a behaviour as heard by customer or by user), with the
-- kinds that hear it (`is_...`; looking there first keeps joins small). `placed` are those that are counted, with their
-- number by time and event id; `silences` those before a silence and `returns` those after one; `steps` those of signals
-- that hear more than one sound. Days of use are in `placed` and `good_dates` without an event id; `shown` has it. `listeners` says which signal hears which sound as which part (1 = behaviour,
-- 2 = until_behaviour or then_behaviour, 3 = last_behaviour). customer_number and user_key say whose events they are.
-- Each kind puts in order only what it needs in order: sorting all events once for all kinds costs several times that.

{# what every kind gives; `signal` and `event` are aliases #}
{% macro candidate_columns(signal, event, occurred_at, received_at) -%}
    {{ signal }}.signal_number,
    {{ event }}.customer_number,
    {{ event }}.user_key,
    {{ event }}.user_id,
    {{ occurred_at }} as occurred_at,
    greatest({{ occurred_at }}, {{ received_at }}) as knowable_at
{%- endmacro %}

{# do two aliases name events of the same stream? #}
{% macro same_stream(left, right) -%}
    {{ left }}.sound = {{ right }}.sound
    and {{ left }}.customer_number = {{ right }}.customer_number
    and {{ left }}.user_key = {{ right }}.user_key
{%- endmacro %}

{# do two aliases name events of the same customer or user for the same signal? #}
{% macro same_track(left, right) -%}
    {{ left }}.signal_number = {{ right }}.signal_number
    and {{ left }}.customer_number = {{ right }}.customer_number
    and {{ left }}.user_key = {{ right }}.user_key
{%- endmacro %}


-- First X, by event time and never by load time: a history load does not make everybody new. And every X; how often it may
-- count is the re-arm rule's business.
{% macro signals_single() %}
    select
        {{ candidate_columns('signal', 'event', 'event.occurred_at', 'event.received_at') }},
        'fired' as outcome,
        event.event_id as proving_event_ids,
        1 as proof_count,
        event.occurred_at as proof_from,
        event.occurred_at as proof_to
    from (
        select
            heard.*,
            'every' as heard_for
        from heard
        where heard.is_every
        union all
        select
            heard.*,
            'first' as heard_for
        from heard
        where heard.is_first
        qualify row_number() over (
            partition by heard.sound, heard.customer_number, heard.user_key
            order by heard.occurred_at, heard.event_id
        ) = 1
    ) as event
    inner join listeners as signal
        on
            event.sound = signal.sound
            and event.heard_for = signal.kind
{% endmacro %}


-- N of X within T, an exact sliding window: event i completes it when event i-(N-1) is at most T older, both ends
-- included. No buckets and no tumbling windows, so no burst is missed at a border. With re-arm `rising_edge` only the
-- event that makes it true counts, not those that keep it true.
{% macro signals_count_within() %}
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
            counting.customer_number = shown.customer_number
            and counting.occurred_at = shown.occurred_at
            and counting.event_id is null
    group by
        counting.signal_number,
        counting.customer_number,
        counting.user_key,
        counting.user_id,
        counting.latest_place,
        counting.latest_at
{% endmacro %}

-- every event that a complete count is made of
{% macro signals_counting() %}
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
{% endmacro %}

-- the events that a signal counts, and which of them would be the N-th back
{% macro signals_counted() %}
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
{% endmacro %}

-- the events with which a count is complete, because the N-th event back is still within the window; was it complete
-- before, by the event before and the one behind the N-th back?
{% macro signals_completed() %}
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
{% endmacro %}


-- A and then no B within T, dated at the deadline. Silence is only a fact when somebody was listening: it fires when the
-- silo of B is complete through the deadline, and is `unknown` when the deadline is past and the silo is not. A B at
-- the instant of A or at the deadline was done in time.
{% macro signals_absence() %}
    select
        {{ candidate_columns('due', 'due', 'due.deadline_at', 'due.received_at') }},
        case when due.deadline_at < due.observed_through_at then 'fired' else 'unknown' end as outcome,
        due.event_id as proving_event_ids,
        1 as proof_count,
        due.occurred_at as proof_from,
        due.deadline_at as proof_to
    from (
        select
            steps.*,
            {{ dbt.dateadd('second', 'steps.within_seconds', 'steps.occurred_at') }} as deadline_at,
            min(case when steps.part = 2 then steps.occurred_at end) over (
                partition by steps.signal_number, steps.customer_number, steps.user_key
                order by steps.occurred_at
                range between current row and unbounded following
            ) as done_at
        from steps
        where steps.kind = 'absence'
    ) as due
    where
        due.part = 1
        and due.deadline_at < {{ as_of() }}
        and (due.done_at is null or due.done_at > due.deadline_at)
{% endmacro %}


-- A then B, or A then B then C, the whole within T, once per event that completes it. Then means later: events of the
-- same instant are in no order. The latest B before C and the latest A before that B are the shortest way there, so if
-- they do not fit into T nothing does.
{% macro signals_sequence() %}
    select
        {{ candidate_columns(
            'final',
            'final',
            'final.occurred_at',
            'greatest(opening.received_at, middle.received_at, final.received_at)',
        ) }},
        'fired' as outcome,
        opening.event_id
        || coalesce(',' || middle.event_id, '')
        || ',' || final.event_id as proving_event_ids,
        case when middle.event_id is null then 2 else 3 end as proof_count,
        opening.occurred_at as proof_from,
        final.occurred_at as proof_to
    from placed_steps as final
    left join placed_steps as middle
        on
            {{ same_track('final', 'middle') }}
            and final.second_place = middle.place
            and final.part = 3
    inner join placed_steps as opening
        on
            {{ same_track('final', 'opening') }}
            and opening.place = case when final.part = 3 then middle.first_place else final.first_place end
    where
        final.part = final.parts
        and opening.occurred_at >= {{ dbt.dateadd('second', '-final.within_seconds', 'final.occurred_at') }}
{% endmacro %}

-- where was the latest first step, and the latest second step, before each event? later steps come first at the same
-- instant, so that none is before another
{% macro signals_placed_steps() %}
    select
        numbered.*,
        max(case when numbered.part = 1 then numbered.place end) over so_far as first_place,
        max(case when numbered.part = 2 then numbered.place end) over so_far as second_place
    from (
        select
            steps.*,
            row_number() over (
                partition by steps.signal_number, steps.customer_number, steps.user_key
                order by steps.occurred_at, steps.part desc, steps.event_id
            ) as place
        from steps
        where steps.kind = 'sequence'
    ) as numbered
    window so_far as (
        partition by numbered.signal_number, numbered.customer_number, numbered.user_key
        order by numbered.place
        rows between unbounded preceding and current row
    )
{% endmacro %}


-- N per period in at least k of the last m periods, the present one included; periods are calendar hours, days, weeks
-- from Monday, or months (UTC). It is true from the N-th event of a period on, and the proof is the N-th event of each
-- of the latest k good periods. Just before that event one good period less was there, so it becomes true with the
-- event (`rising_edge`) exactly when there are k and not more.
{% macro signals_regular() %}
    select
        {{ candidate_columns('latest', 'latest', 'latest.occurred_at', 'max(proof.received_at)') }},
        'fired' as outcome,
        {{ dbt.listagg('proof.event_id', "','", 'order by proof.good_number') }} as proving_event_ids,
        count(*) as proof_count,
        min(proof.occurred_at) as proof_from,
        max(proof.occurred_at) as proof_to
    from good_periods as latest
    inner join good_periods as earliest
        on
            {{ same_track('latest', 'earliest') }}
            and latest.good_number - (latest.in_periods - 1) = earliest.good_number
            and earliest.period_number > latest.period_number - latest.of_periods
    left join good_periods as one_more
        on
            {{ same_track('latest', 'one_more') }}
            and latest.good_number - latest.in_periods = one_more.good_number
            and one_more.period_number > latest.period_number - latest.of_periods
    inner join good_periods as proof
        on
            {{ same_track('latest', 'proof') }}
            and proof.good_number between latest.good_number - (latest.in_periods - 1) and latest.good_number
    where latest.rearm != 'rising_edge' or one_more.good_number is null
    group by
        latest.signal_number,
        latest.customer_number,
        latest.user_key,
        latest.user_id,
        latest.good_number,
        latest.occurred_at
{% endmacro %}

-- the event with which each period became good: the N-th in it
{% macro signals_good_dates() %}
    select
        reached.*,
        row_number() over (
            partition by reached.signal_number, reached.customer_number, reached.user_key
            order by reached.period_number
        ) as good_number
    from (
        {% for events in ['heard', 'days_of_use'] %}
        {% set is_heard = events == 'heard' %}
        select
            signal.signal_number,
            signal.in_periods,
            signal.of_periods,
            signal.rearm,
            event.customer_number,
            {{ 'event.user_key' if is_heard else "'' as user_key" }},
            {{ 'event.user_id' if is_heard else 'null as user_id' }},
            event.occurred_at,
            {{ 'event.received_at' if is_heard else 'null as received_at' }},
            {{ 'event.event_id' if is_heard else 'null as event_id' }},
            case signal.period
                {% for period in ['hour', 'day', 'week', 'month'] %}
                when '{{ period }}'
                    then {{ dbt.datediff(
                        "cast('1970-01-05' as timestamp)",
                        "date_trunc('" ~ period ~ "', event.occurred_at)",
                        period,
                    ) }}
                {% endfor %}
            end as period_number
        from {{ events }} as event
        {% if not is_heard %}
        inner join sounds
            on
                sounds.is_use
                and sounds.is_first_of_day
                and sounds.is_regular
                and not sounds.is_whole
        {% endif %}
        inner join listeners as signal
            on {{ 'event' if is_heard else 'sounds' }}.sound = signal.sound
        where signal.kind = 'regular'{{ ' and event.is_regular' if is_heard }}
        qualify row_number() over (
            partition by signal.signal_number, event.customer_number{{ ', event.user_key' if is_heard }}, period_number
            order by event.occurred_at{{ ', event.event_id' if is_heard }}
        ) = signal.occurrences
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as reached
{% endmacro %}


-- No X for T after the last one, dated at the end of T. An X exactly then ends the silence in time.
{% macro signals_stopped() %}
    select
        {{ candidate_columns('due', 'due', 'due.deadline_at', 'due.received_at') }},
        case when due.deadline_at < due.observed_through_at then 'fired' else 'unknown' end as outcome,
        due.event_id as proving_event_ids,
        1 as proof_count,
        due.occurred_at as proof_from,
        due.deadline_at as proof_to
    from (
        select
            event.*,
            signal.signal_number,
            signal.observed_through_at,
            {{ dbt.dateadd('second', 'signal.within_seconds', 'event.occurred_at') }} as deadline_at
        from silences as event
        inner join listeners as signal
            on event.sound = signal.sound
        where signal.kind = 'stopped'
    ) as due
    where
        due.deadline_at < {{ as_of() }}
        and (due.next_at is null or due.next_at > due.deadline_at)
{% endmacro %}


-- The first X after more than T without any. The very first X is a beginning, not a return.
{% macro signals_restarted() %}
    select
        {{ candidate_columns('signal', 'event', 'event.occurred_at', 'event.received_at') }},
        'fired' as outcome,
        event.previous_event_id || ',' || event.event_id as proving_event_ids,
        2 as proof_count,
        event.previous_at as proof_from,
        event.occurred_at as proof_to
    from returns as event
    inner join listeners as signal
        on event.sound = signal.sound
    where
        signal.kind = 'restarted'
        and event.occurred_at > {{ dbt.dateadd('second', 'signal.within_seconds', 'event.previous_at') }}
{% endmacro %}


-- A metric goes over (or under) its threshold after it was last seen on the other side of rearm_threshold. Between the
-- two nothing changes, so a value that trembles at the threshold fires once. A crossing has two sides: the first value
-- ever seen crosses nothing. The proof is the last value on the other side and the first on this one.
{% macro signals_crossed() %}
    select
        {{ candidate_columns('crossed', 'crossed', 'crossed.occurred_at', 'crossed.received_at') }},
        'fired' as outcome,
        crossed.event_id_before || ',' || crossed.event_id as proving_event_ids,
        2 as proof_count,
        crossed.occurred_before_at as proof_from,
        crossed.occurred_at as proof_to
    from (
        select
            sided.*,
            lag(sided.is_over) over track as was_over,
            lag(sided.event_id) over track as event_id_before,
            lag(sided.occurred_at) over track as occurred_before_at
        from (
            select
                signal.signal_number,
                event.customer_number,
                event.user_key,
                event.user_id,
                event.occurred_at,
                event.received_at,
                event.event_id,
                case
                    when
                        (signal.direction = 'above' and event.measured_value >= signal.threshold)
                        or (signal.direction = 'below' and event.measured_value <= signal.threshold)
                        then true
                    when
                        (signal.direction = 'above' and event.measured_value < signal.rearm_threshold)
                        or (signal.direction = 'below' and event.measured_value > signal.rearm_threshold)
                        then false
                end as is_over
            from heard as event
            inner join listeners as signal
                on event.sound = signal.sound
            where event.is_crossed and signal.kind = 'crossed'
        ) as sided
        -- between the two sides nothing is said
        where sided.is_over is not null
        window track as (
            partition by sided.signal_number, sided.customer_number, sided.user_key
            order by sided.occurred_at, sided.event_id
        )
    ) as crossed
    where crossed.is_over and not crossed.was_over
{% endmacro %}


-- Something promised (a renewal) falls due in lead_seconds, and in the within_seconds before that moment a behaviour was
-- seen fewer than (`below`) or at least (`above`) so many times. A promise made later than the moment is judged when
-- it is made, one that is known to be off by then is not judged. Little use can only be told from a fresh silo.
{% macro signals_due() %}
    select
        {{ candidate_columns('promise', 'promise', 'promise.deadline_at', 'promise.received_at') }},
        case
            when promise.direction = 'above' or promise.deadline_at < promise.observed_through_at then 'fired'
            else 'unknown'
        end as outcome,
        promise.event_id as proving_event_ids,
        1 as proof_count,
        {{ dbt.dateadd('second', '-promise.within_seconds', 'promise.deadline_at') }} as proof_from,
        promise.deadline_at as proof_to
    from (
        select
            steps.*,
            greatest(
                {{ dbt.dateadd('second', '-steps.lead_seconds', 'steps.due_at') }}, steps.occurred_at
            ) as deadline_at
        from steps
        where steps.kind = 'due' and steps.part = 1
    ) as promise
    left join steps as seen
        on
            {{ same_track('promise', 'seen') }}
            and seen.kind = 'due'
            and seen.part = 2
            and seen.occurred_at <= promise.deadline_at
            and seen.occurred_at >= {{ dbt.dateadd('second', '-promise.within_seconds', 'promise.deadline_at') }}
    where
        promise.deadline_at < {{ as_of() }}
        and coalesce(promise.gone_at > promise.deadline_at, true)
    group by
        promise.signal_number,
        promise.customer_number,
        promise.user_key,
        promise.user_id,
        promise.event_id,
        promise.received_at,
        promise.deadline_at,
        promise.within_seconds,
        promise.occurrences,
        promise.direction,
        promise.observed_through_at
    having (promise.direction = 'below') = (count(seen.occurred_at) < promise.occurrences)
{% endmacro %}


-- Within which time may what was begun go on? A promise looks back from the moments it is judged at, all others forward,
-- and of a sequence that nobody finished nothing needs to be looked at.
{% macro signals_spanned() %}
    select
        begun.signal_number,
        begun.customer_number,
        begun.user_key,
        case begun.kind
            when 'absence' then begun.first_at
            else greatest(
                begun.first_at, {{ dbt.dateadd('second', '-begun.within_seconds', 'finished.first_at') }}
            )
        end as heard_from,
        case begun.kind
            when 'absence' then {{ dbt.dateadd('second', 'begun.within_seconds', 'begun.last_at') }}
            else least(
                {{ dbt.dateadd('second', 'begun.within_seconds', 'begun.last_at') }}, finished.last_at
            )
        end as heard_until
    from parts as begun
    left join parts as finished
        on
            {{ same_track('begun', 'finished') }}
            and finished.part = finished.parts
    where
        begun.part = 1
        and (begun.kind != 'sequence' or finished.last_at is not null)
    union all
    select
        judged.signal_number,
        judged.customer_number,
        judged.user_key,
        {{ dbt.dateadd('second', '-max(judged.within_seconds)', 'min(judged.judged_at)') }} as heard_from,
        max(judged.judged_at) as heard_until
    from (
        select
            listeners.signal_number,
            listeners.within_seconds,
            heard.customer_number,
            heard.user_key,
            greatest(
                {{ dbt.dateadd('second', '-listeners.lead_seconds', 'heard.due_at') }}, heard.occurred_at
            ) as judged_at
        from heard
        inner join listeners
            on heard.sound = listeners.sound
        where heard.is_step and listeners.kind = 'due' and listeners.part = 1
    ) as judged
    where judged.judged_at < {{ as_of() }}
    group by judged.signal_number, judged.customer_number, judged.user_key
{% endmacro %}


-- When could time alone bring an occurrence? The deadlines of what was begun, promised or last seen, past ones included.
{% macro signals_waiting() %}
    select
        heard.customer_number,
        listeners.observed_through_at,
        case listeners.kind
            when 'due'
                then greatest(
                    {{ dbt.dateadd('second', '-listeners.lead_seconds', 'heard.due_at') }}, heard.occurred_at
                )
            else {{ dbt.dateadd('second', 'listeners.within_seconds', 'heard.occurred_at') }}
        end as deadline_at
    from heard
    inner join listeners
        on heard.sound = listeners.sound
    where heard.is_step and listeners.part = 1 and listeners.kind in ('absence', 'due')
    union all
    select
        silences.customer_number,
        listeners.observed_through_at,
        {{ dbt.dateadd('second', 'listeners.within_seconds', 'silences.occurred_at') }} as deadline_at
    from silences
    inner join listeners
        on silences.sound = listeners.sound
    where listeners.kind = 'stopped'
{% endmacro %}
