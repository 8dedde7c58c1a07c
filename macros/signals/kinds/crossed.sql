-- `crossed`: a metric goes over (or under) its threshold after it was last seen on the other side of rearm_threshold.
-- Between the two nothing changes, so a value that trembles at the threshold fires once. A crossing has two sides: the
-- first value ever seen crosses nothing. The proof is the last value on the other side and the first on this one.

{% macro signals_crossed() %}
sided as (

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

),

-- between the two sides nothing is said
crossing as (

    select
        sided.*,
        lag(sided.is_over) over track as was_over,
        lag(sided.event_id) over track as event_id_before,
        lag(sided.occurred_at) over track as occurred_before_at
    from sided
    where sided.is_over is not null
    window track as (
        partition by sided.signal_number, sided.customer_number, sided.user_key
        order by sided.occurred_at, sided.event_id
    )

),

candidates_crossed as (

    select
        {{ candidate_columns('crossing', 'crossing', 'crossing.occurred_at', 'crossing.received_at') }},
        'fired' as outcome,
        crossing.event_id_before || ',' || crossing.event_id as proving_event_ids,
        2 as proof_count,
        crossing.occurred_before_at as proof_from,
        crossing.occurred_at as proof_to
    from crossing
    where crossing.is_over and not crossing.was_over

),
{% endmacro %}
