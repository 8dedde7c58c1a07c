-- `regular`: N of X per period in at least k of the last m periods, the present one included; periods are calendar
-- hours, days, weeks from Monday, or months (UTC). It is true from the N-th event of a period on, and the proof is the
-- N-th event of each of the latest k good periods. Just before that event one good period less was there, so it becomes
-- true with the event (`rising_edge`) exactly when there are k and not more. Days of use come without their event ids,
-- which `shown` has.

{% macro signals_good_dates() %}
-- the event with which each period became good: the N-th in it
good_dates as (

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
            on sounds.is_use_by_instant and sounds.is_first_of_day and sounds.is_regular
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

),
{% endmacro %}


{% macro signals_regular() %}
good_periods as (

    select
        good_dates.signal_number,
        good_dates.in_periods,
        good_dates.of_periods,
        good_dates.rearm,
        good_dates.period_number,
        good_dates.good_number,
        good_dates.customer_number,
        good_dates.user_key,
        good_dates.user_id,
        good_dates.occurred_at,
        coalesce(good_dates.received_at, shown.first_received_at) as received_at,
        coalesce(good_dates.event_id, shown.first_event_id) as event_id
    from good_dates
    left join shown
        on
            {{ same_use('good_dates', 'shown') }}
            and good_dates.event_id is null

),

candidates_regular as (

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

),
{% endmacro %}
