-- One row per signal of kind `count_within` and event that completes it: N of X within T seconds.
-- Exact sliding window: event i completes the signal when event i-(N-1) is at most T seconds older, both ends
-- included. No buckets and no tumbling windows, so no burst is missed at a border. The event id orders events of the
-- same instant. With re-arm `rising_edge` only the event that makes it true counts, not those that keep it true.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'count_within'

),

behaviours as (

    select * from {{ ref('int_behaviours__unioned') }}

),

heard as (

    select
        signals.signal_id,
        signals.occurrences,
        signals.within_seconds,
        signals.rearm,
        behaviours.customer_id,
        behaviours.user_id,
        case signals.unit when 'user' then behaviours.user_id else behaviours.customer_id end as entity_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id
    from signals
    inner join behaviours
        on signals.behaviour = behaviours.behaviour

),

numbered as (

    select
        *,
        row_number() over (
            partition by signal_id, customer_id, entity_id
            order by occurred_at, event_id
        ) as event_number
    from heard
    where entity_id is not null

),

-- is the N-th event back still within the window?
judged as (

    select
        latest.signal_id,
        latest.rearm,
        latest.customer_id,
        latest.user_id,
        latest.entity_id,
        latest.event_number,
        latest.occurrences,
        latest.occurred_at,
        coalesce(
            earliest.occurred_at >= {{ dbt.dateadd('second', '-latest.within_seconds', 'latest.occurred_at') }},
            false
        ) as is_complete
    from numbered as latest
    left join numbered as earliest
        on
            latest.signal_id = earliest.signal_id
            and latest.customer_id = earliest.customer_id
            and latest.entity_id = earliest.entity_id
            and earliest.event_number = latest.event_number - (latest.occurrences - 1)

),

edged as (

    select
        *,
        coalesce(lag(is_complete) over (
            partition by signal_id, customer_id, entity_id
            order by event_number
        ), false) as was_complete
    from judged

),

completed as (

    select * from edged
    where is_complete and (rearm != 'rising_edge' or not was_complete)

)

select
    completed.signal_id,
    completed.customer_id,
    completed.user_id,
    completed.entity_id,
    completed.occurred_at,
    greatest(completed.occurred_at, max(proof.received_at)) as knowable_at,
    'fired' as outcome,
    {{ dbt.listagg('proof.event_id', "','", 'order by proof.event_number') }} as proving_event_ids,
    count(*) as proof_count,
    min(proof.occurred_at) as proof_from,
    max(proof.occurred_at) as proof_to
from completed
inner join numbered as proof
    on
        completed.signal_id = proof.signal_id
        and completed.customer_id = proof.customer_id
        and completed.entity_id = proof.entity_id
        and proof.event_number between completed.event_number - (completed.occurrences - 1) and completed.event_number
group by
    completed.signal_id,
    completed.customer_id,
    completed.user_id,
    completed.entity_id,
    completed.event_number,
    completed.occurred_at
