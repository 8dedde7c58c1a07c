-- One row per signal of kind `stopped` and silence: X, and then no X for more than T seconds, dated at the end of T.
-- The last event before the silence is the proof. As with every absence, a silo that is not complete through the end
-- of T gives `unknown`. An X exactly at the end of T ends the silence in time.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'stopped'

),

behaviours as (

    select * from {{ ref('int_behaviours__unioned') }}

),

silos as (

    select * from {{ ref('int_silos__observed') }}

),

heard as (

    select
        signals.signal_id,
        signals.proving_source,
        behaviours.customer_id,
        behaviours.user_id,
        case signals.unit when 'user' then behaviours.user_id else behaviours.customer_id end as entity_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        {{ dbt.dateadd('second', 'signals.within_seconds', 'behaviours.occurred_at') }} as deadline_at
    from signals
    inner join behaviours
        on signals.behaviour = behaviours.behaviour

),

followed as (

    select
        *,
        lead(occurred_at) over (
            partition by signal_id, customer_id, entity_id
            order by occurred_at, event_id
        ) as next_at
    from heard
    where entity_id is not null

)

select
    followed.signal_id,
    followed.customer_id,
    followed.user_id,
    followed.entity_id,
    followed.deadline_at as occurred_at,
    greatest(followed.deadline_at, followed.received_at) as knowable_at,
    case when followed.deadline_at < silos.observed_through_at then 'fired' else 'unknown' end as outcome,
    followed.event_id as proving_event_ids,
    1 as proof_count,
    followed.occurred_at as proof_from,
    followed.deadline_at as proof_to
from followed
left join silos
    on followed.proving_source = silos.source
where
    followed.deadline_at < {{ as_of() }}
    and (followed.next_at is null or followed.next_at > followed.deadline_at)
