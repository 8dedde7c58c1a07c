-- One row per signal of kind `restarted` and return: the first X after more than T seconds without any. The last
-- event before the silence and the first after it are the proof. The very first X of an entity is a beginning, not a
-- return.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'restarted'

),

behaviours as (

    select * from {{ ref('int_behaviours__unioned') }}

),

heard as (

    select
        signals.signal_id,
        signals.within_seconds,
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

preceded as (

    select
        *,
        lag(occurred_at) over (
            partition by signal_id, customer_id, entity_id
            order by occurred_at, event_id
        ) as previous_at,
        lag(event_id) over (
            partition by signal_id, customer_id, entity_id
            order by occurred_at, event_id
        ) as previous_event_id
    from heard
    where entity_id is not null

)

select
    signal_id,
    customer_id,
    user_id,
    entity_id,
    occurred_at,
    greatest(occurred_at, received_at) as knowable_at,
    'fired' as outcome,
    previous_event_id || ',' || event_id as proving_event_ids,
    2 as proof_count,
    previous_at as proof_from,
    occurred_at as proof_to
from preceded
where occurred_at > {{ dbt.dateadd('second', 'within_seconds', 'previous_at') }}
