-- One row per occurrence of a signal that is about ourselves: what became of a message, a stay that lasts too long, a
-- hand-off and whether it was picked up. In the shape of every other occurrence, so that actions follow from them by
-- the same rules; they look at states and deliveries, so they cannot move a state.
--   ignored             a message went out, and until `within_seconds` later nobody opened or clicked one of ours that
--                       was made since, and its goal was not reached
--   ignored_in_silence  the same, and nobody was in the product since
--   reached_goal        the goal of a message, or of any other action that has one, within `within_seconds`
--   moved_on            the customer left the state in which the action reached it, within `within_seconds`
--   overstayed          a stay went beyond the time limit of its state
--   handed_over         another team answers for the customer now, and still did when it was known
--   not_picked_up       the new owner let the time for it pass
-- What did not happen is only known when every silo that would have shown it has spoken beyond the deadline, so a
-- stalled loader makes us wait, never act.

with

signals as (

    select * from {{ ref('int_signals__defined') }}
    where
        kind in (
            'ignored', 'ignored_in_silence', 'reached_goal', 'moved_on', 'overstayed', 'handed_over', 'not_picked_up'
        )

),

actions as (

    select
        action,
        cap_class,
        goal_signal_id
    from {{ ref('actions') }}

),

deliveries as (

    select
        deliveries.action_id,
        deliveries.customer_id,
        deliveries.sent_at,
        actions.cap_class,
        actions.goal_signal_id
    from {{ ref('int_deliveries__committed') }} as deliveries
    inner join actions
        on deliveries.action = actions.action

),

occurrences as (

    select * from {{ ref('int_signals__detected') }}
    where outcome = 'fired'

),

stays as (

    select * from {{ ref('int_lifecycle__dated') }}

),

hand_offs as (

    select * from {{ ref('int_hand_offs__followed') }}

),

messages as (

    select
        customer_id,
        created_at,
        least(coalesce(opened_at, clicked_at), coalesce(clicked_at, opened_at)) as answered_at
    from {{ ref('int_messages__attributed') }}
    where
        customer_id is not null
        and (opened_at is not null or clicked_at is not null)

),

activity as (

    select
        customer_id,
        first_at,
        last_at
    from {{ ref('int_activity__daily_edged') }}

),

extracts as (

    select
        source,
        as_of,
        max(data_through_at) as data_through_at
    from {{ ref('stg_ops__extracts') }}
    where
        status = 'succeeded'
        and as_of <= {{ as_of() }}
        and source in ('product', 'stripe', 'customerio')
    group by source, as_of

),

runs as (

    select distinct as_of
    from extracts

),

silos as (

    select distinct source
    from extracts

),

-- up to when had a silo spoken, run by run? one that failed has spoken as far as before
heard as (

    select
        runs.as_of,
        max(extracts.data_through_at) over (partition by silos.source order by runs.as_of) as heard_through
    from runs
    cross join silos
    left join extracts
        on
            runs.as_of = extracts.as_of
            and silos.source = extracts.source

),

covered as (

    select
        as_of,
        min(heard_through) as covered_through
    from heard
    group by as_of
    having count(heard_through) = 3

),

-- what has to be waited for, by the customer or the delivery that it is about
awaited as (

    select
        signals.signal_id,
        signals.kind,
        deliveries.action_id as subject_id,
        deliveries.customer_id,
        deliveries.goal_signal_id,
        deliveries.sent_at as began_at,
        {{ dbt.dateadd('second', 'signals.within_seconds', 'deliveries.sent_at') }} as due_at,
        deliveries.action_id as proving_event_ids
    from deliveries
    inner join signals
        on
            signals.kind in ('reached_goal', 'moved_on')
            or (signals.kind in ('ignored', 'ignored_in_silence') and deliveries.cap_class = 'message')
    union all
    select
        signals.signal_id,
        signals.kind,
        stays.region || '|' || coalesce(stays.occurrence_id, stays.customer_id) as subject_id,
        stays.customer_id,
        cast(null as {{ dbt.type_string() }}) as goal_signal_id,
        stays.valid_from as began_at,
        stays.time_limit_at as due_at,
        coalesce(stays.proving_event_ids, stays.customer_id) as proving_event_ids
    from stays
    inner join signals
        on
            signals.kind = 'overstayed'
            -- without a state it is about those that are shown
            and (stays.state = signals.state or (stays.region = 'customer' and signals.state is null))
    where
        stays.time_limit_at < {{ as_of() }}
        and (stays.valid_to is null or stays.valid_to > stays.time_limit_at)
    union all
    select
        signals.signal_id,
        signals.kind,
        hand_offs.hand_off_id as subject_id,
        hand_offs.customer_id,
        cast(null as {{ dbt.type_string() }}) as goal_signal_id,
        hand_offs.handed_at as began_at,
        hand_offs.pick_up_by as due_at,
        hand_offs.proof_event_ids as proving_event_ids
    from hand_offs
    inner join signals
        on signals.kind = 'not_picked_up'
    where
        hand_offs.pick_up_by < {{ as_of() }}
        and (hand_offs.picked_up_at is null or hand_offs.picked_up_at > hand_offs.pick_up_by)
        and (hand_offs.ended_at is null or hand_offs.ended_at > hand_offs.pick_up_by)

),

-- the first run that had heard everything up to the deadline
timeline as (

    select
        due_at as reached_at,
        0 as part,
        signal_id,
        subject_id,
        cast(null as timestamp) as as_of
    from awaited
    where kind not in ('reached_goal', 'moved_on')
    union all
    select
        covered_through as reached_at,
        1 as part,
        cast(null as {{ dbt.type_string() }}) as signal_id,
        cast(null as {{ dbt.type_string() }}) as subject_id,
        as_of
    from covered

),

located as (

    select
        signal_id,
        subject_id,
        part,
        -- data up to the very instant do not include it
        min(as_of) over (
            order by reached_at asc, part desc, signal_id asc, subject_id asc
            rows between current row and unbounded following
        ) as known_at
    from timeline

),

-- the first time that the goal was reached
reached as (

    select
        awaited.signal_id,
        awaited.subject_id,
        occurrences.occurred_at,
        occurrences.detected_at,
        occurrences.proving_event_ids
    from awaited
    inner join occurrences
        on
            awaited.customer_id = occurrences.customer_id
            and awaited.goal_signal_id = occurrences.signal_id
            and awaited.began_at < occurrences.occurred_at
            and awaited.due_at >= occurrences.occurred_at
    where awaited.kind != 'moved_on'
    qualify row_number() over (
        partition by awaited.signal_id, awaited.subject_id
        order by occurrences.occurred_at, occurrences.occurrence_id
    ) = 1

),

answered as (

    select distinct
        awaited.signal_id,
        awaited.subject_id
    from awaited
    inner join messages
        on
            awaited.customer_id = messages.customer_id
            and awaited.began_at <= messages.created_at
            and awaited.due_at >= messages.answered_at
    where awaited.kind in ('ignored', 'ignored_in_silence')

),

-- a day's first and last event are enough, because the waiting time is a day or longer
active as (

    select distinct
        awaited.signal_id,
        awaited.subject_id
    from awaited
    inner join activity
        on
            awaited.customer_id = activity.customer_id
            and awaited.began_at < activity.last_at
            and awaited.due_at >= activity.first_at
    where awaited.kind = 'ignored_in_silence'

),

-- the first stay that began after it
moved as (

    select
        awaited.signal_id,
        awaited.subject_id,
        stays.valid_from as occurred_at,
        stays.recorded_at as detected_at,
        stays.proving_event_ids
    from awaited
    inner join stays
        on
            awaited.customer_id = stays.customer_id
            and stays.region = 'customer'
            and awaited.began_at < stays.valid_from
            and awaited.due_at >= stays.valid_from
    where awaited.kind = 'moved_on'
    qualify row_number() over (
        partition by awaited.signal_id, awaited.subject_id
        order by stays.state_sequence
    ) = 1

),

-- what became of what was awaited: ignored, its goal reached, moved on, or handed over
observed as (

    select
        awaited.signal_id,
        awaited.subject_id,
        awaited.customer_id,
        awaited.began_at,
        awaited.due_at as occurred_at,
        located.known_at as detected_at,
        awaited.proving_event_ids
    from awaited
    inner join located
        on
            awaited.signal_id = located.signal_id
            and awaited.subject_id = located.subject_id
    left join reached
        on
            awaited.signal_id = reached.signal_id
            and awaited.subject_id = reached.subject_id
    left join answered
        on
            awaited.signal_id = answered.signal_id
            and awaited.subject_id = answered.subject_id
    left join active
        on
            awaited.signal_id = active.signal_id
            and awaited.subject_id = active.subject_id
    where
        located.part = 0
        and located.known_at is not null
        and reached.subject_id is null
        and answered.subject_id is null
        and active.subject_id is null
    union all
    select
        awaited.signal_id,
        awaited.subject_id,
        awaited.customer_id,
        awaited.began_at,
        coalesce(reached.occurred_at, moved.occurred_at) as occurred_at,
        coalesce(reached.detected_at, moved.detected_at) as detected_at,
        coalesce(reached.proving_event_ids, moved.proving_event_ids) as proving_event_ids
    from awaited
    left join reached
        on
            awaited.signal_id = reached.signal_id
            and awaited.subject_id = reached.subject_id
    left join moved
        on
            awaited.signal_id = moved.signal_id
            and awaited.subject_id = moved.subject_id
    where
        (awaited.kind = 'reached_goal' and reached.subject_id is not null)
        or (awaited.kind = 'moved_on' and moved.subject_id is not null)
    union all
    select
        signals.signal_id,
        hand_offs.hand_off_id as subject_id,
        hand_offs.customer_id,
        hand_offs.handed_at as began_at,
        hand_offs.handed_at as occurred_at,
        hand_offs.recorded_at as detected_at,
        hand_offs.proof_event_ids as proving_event_ids
    from hand_offs
    inner join signals
        on signals.kind = 'handed_over'
    -- what was over before anybody could know is told to nobody
    where
        hand_offs.ended_at is null
        or hand_offs.ended_at > hand_offs.recorded_at

)

select
    {{ surrogate_key(['observed.signal_id', 'signals.definition_hash', 'observed.subject_id']) }} as occurrence_id,
    observed.signal_id,
    signals.definition_hash,
    signals.kind,
    signals.unit,
    signals.source,
    signals.rearm,
    observed.customer_id,
    cast(null as {{ dbt.type_string() }}) as user_id,
    'fired' as outcome,
    observed.occurred_at,
    greatest(observed.occurred_at, observed.detected_at) as detected_at,
    1 as proof_count,
    least(observed.began_at, observed.occurred_at) as proof_from,
    observed.occurred_at as proof_to,
    observed.proving_event_ids,
    signals.max_lateness_hours,
    observed.subject_id
from observed
inner join signals
    on observed.signal_id = signals.signal_id
