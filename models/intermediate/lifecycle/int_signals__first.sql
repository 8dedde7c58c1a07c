-- One row per signal of kind `first` and entity (customer or user) that ever did it: first time X.
-- "First" is by event time, never by load time: a history load does not make everybody new. The event id breaks ties.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'first'

),

behaviours as (

    select * from {{ ref('int_behaviours__unioned') }}

),

heard as (

    select
        signals.signal_id,
        behaviours.customer_id,
        behaviours.user_id,
        case signals.unit when 'user' then behaviours.user_id else behaviours.customer_id end as entity_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id
    from signals
    inner join behaviours
        on signals.behaviour = behaviours.behaviour

)

select
    signal_id,
    customer_id,
    user_id,
    entity_id,
    occurred_at,
    greatest(occurred_at, received_at) as knowable_at,
    'fired' as outcome,
    event_id as proving_event_ids,
    1 as proof_count,
    occurred_at as proof_from,
    occurred_at as proof_to
from heard
where entity_id is not null
qualify row_number() over (
    partition by signal_id, customer_id, entity_id
    order by occurred_at, event_id
) = 1
