-- One row per occurrence of a signal, those that look at states included: everything that actions may follow from.
-- Why it is not int_signals__detected: states are made of signals, so a signal that looks at states and deliveries can
-- only be told when they are known, and cannot move them (assert_states_do_not_move_themselves).
-- A state entered or left is proven by what proved the move. Re-arm `on_state_entry` keeps the first candidate before
-- the first entry into its state and the first after each entry.

with

detected as (

    select * from {{ ref('int_signals__detected') }}

),

outcomes as (

    select * from {{ ref('int_outcomes__observed') }}

),

stays as (

    select
        customer_id,
        region,
        state_sequence,
        state,
        valid_from,
        recorded_at,
        occurrence_id
    from {{ ref('int_lifecycle__dated') }}

),

signals as (

    select * from {{ ref('int_signals__defined') }}

),

-- every move is two pieces of news: a state left and another entered. Nothing proves where a customer starts
moves as (

    select
        customer_id,
        'state_entered' as kind,
        state,
        valid_from,
        recorded_at,
        occurrence_id
    from stays
    union all
    select
        customer_id,
        'state_left' as kind,
        lag(state) over (partition by customer_id, region order by state_sequence) as state,
        valid_from,
        recorded_at,
        occurrence_id
    from stays

),

-- entering, leaving and overstaying a state are occurrences, too
moved as (

    select
        {{ surrogate_key(['signals.signal_id', 'signals.definition_hash', 'moves.occurrence_id']) }} as occurrence_id,
        signals.signal_id,
        signals.definition_hash,
        signals.kind,
        signals.unit,
        signals.source,
        signals.rearm,
        moves.customer_id,
        proof.user_id,
        'fired' as outcome,
        moves.valid_from as occurred_at,
        moves.recorded_at as detected_at,
        proof.proof_count,
        proof.proof_from,
        proof.proof_to,
        proof.proving_event_ids
    from moves
    inner join signals
        on
            moves.kind = signals.kind
            and moves.state = signals.state
    inner join detected as proof
        on moves.occurrence_id = proof.occurrence_id

),

-- at the same instant the entry comes first: it is what re-arms
dated_candidates as (

    select
        detected.occurrence_id,
        detected.signal_id,
        detected.customer_id,
        case when detected.unit = 'user' then detected.user_id else detected.customer_id end as entity_id,
        detected.occurred_at,
        count(stays.state_sequence) as entries_before,
        max(stays.recorded_at) as entry_recorded_at
    from detected
    inner join signals
        on detected.signal_id = signals.signal_id
    left join stays
        on
            detected.customer_id = stays.customer_id
            and signals.state = stays.state
            and detected.occurred_at >= stays.valid_from
    where detected.outcome = 'candidate'
    group by
        detected.occurrence_id,
        detected.signal_id,
        detected.customer_id,
        detected.unit,
        detected.user_id,
        detected.occurred_at

),

rearmed as (

    select
        occurrence_id,
        entry_recorded_at
    from dated_candidates
    qualify row_number() over (
        partition by signal_id, customer_id, entity_id, entries_before
        order by occurred_at, occurrence_id
    ) = 1

),

-- which candidates became occurrences, now that the states are known?
told as (

    select
        detected.occurrence_id,
        detected.signal_id,
        detected.definition_hash,
        detected.kind,
        detected.unit,
        detected.proving_source as source,
        detected.rearm,
        detected.customer_id,
        detected.user_id,
        case when detected.outcome = 'candidate' then 'fired' else detected.outcome end as outcome,
        detected.occurred_at,
        greatest(detected.detected_at, rearmed.entry_recorded_at) as detected_at,
        detected.proof_count,
        detected.proof_from,
        detected.proof_to,
        detected.proving_event_ids
    from detected
    left join rearmed
        on detected.occurrence_id = rearmed.occurrence_id
    where detected.outcome != 'candidate' or rearmed.occurrence_id is not null
    union all
    select * from moved
    union all
    select
        occurrence_id,
        signal_id,
        definition_hash,
        kind,
        unit,
        source,
        rearm,
        customer_id,
        user_id,
        outcome,
        occurred_at,
        detected_at,
        proof_count,
        proof_from,
        proof_to,
        proving_event_ids
    from outcomes

),

limited as (

    select
        told.*,
        signals.max_lateness_hours,
        signals.stale_after_hours,
        signals.enabled_at
    from told
    inner join signals
        on told.signal_id = signals.signal_id

)

select
    *,
    {{ is_history('detected_at') }} as is_historical,
    {{ dbt.dateadd('hour', 'stale_after_hours', 'occurred_at') }} as stale_at
from limited
