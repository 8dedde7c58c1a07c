-- One row per signal of kind `every` and event: each X counts (how often it may count is the re-arm rule's business).

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'every'

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
