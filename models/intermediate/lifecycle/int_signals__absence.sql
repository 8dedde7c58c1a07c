-- One row per signal of kind `absence` and start: A and then no B within T seconds, dated at the deadline A + T.
-- Hazard: silence is only a fact when somebody was listening. It fires when the silo of B is complete through the
-- deadline; when the deadline is past and the silo is not, the outcome is `unknown`, which is never a firing. A B at
-- the instant of A or at the deadline counts as done in time.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where kind = 'absence'

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
        behaviours.customer_id,
        behaviours.user_id,
        case signals.unit when 'user' then behaviours.user_id else behaviours.customer_id end as entity_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        0 as part
    from signals
    inner join behaviours
        on signals.behaviour = behaviours.behaviour
    union all
    select
        signals.signal_id,
        behaviours.customer_id,
        behaviours.user_id,
        case signals.unit when 'user' then behaviours.user_id else behaviours.customer_id end as entity_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        1 as part
    from signals
    inner join behaviours
        on signals.until_behaviour = behaviours.behaviour

),

-- when was B done for the first time, from A on?
followed as (

    select
        *,
        min(case when part = 1 then occurred_at end) over (
            partition by signal_id, customer_id, entity_id
            order by occurred_at, part, event_id
            rows between current row and unbounded following
        ) as done_at
    from heard
    where entity_id is not null

),

due as (

    select
        followed.*,
        signals.proving_source,
        {{ dbt.dateadd('second', 'signals.within_seconds', 'followed.occurred_at') }} as deadline_at
    from followed
    inner join signals
        on followed.signal_id = signals.signal_id
    where followed.part = 0

)

select
    due.signal_id,
    due.customer_id,
    due.user_id,
    due.entity_id,
    due.deadline_at as occurred_at,
    greatest(due.deadline_at, due.received_at) as knowable_at,
    case when due.deadline_at < silos.observed_through_at then 'fired' else 'unknown' end as outcome,
    due.event_id as proving_event_ids,
    1 as proof_count,
    due.occurred_at as proof_from,
    due.deadline_at as proof_to
from due
left join silos
    on due.proving_source = silos.source
where
    due.deadline_at < {{ as_of() }}
    and (due.done_at is null or due.done_at > due.deadline_at)
