-- One row per customer, region and state the customer has been in, in order: the fold of the signals over the
-- transitions. The regions move next to each other and do not see each other. Each starts in its initial state when the
-- customer is first seen and takes the transition that the playbook has for (state, signal); a signal without a row
-- changes nothing. `resume` goes back to the state that an interruption interrupted. At the same instant the signal
-- with the smaller priority comes first; signal and occurrence id break ties.

with recursive

customers as (

    select
        customer_id,
        first_seen_at
    from {{ ref('int_customers__resolved') }}

),

states as (

    select * from {{ ref('lifecycle_states') }}

),

transitions as (

    select * from {{ ref('lifecycle_transitions') }}

),

occurrences as (

    select * from {{ ref('int_signals__detected') }}
    where outcome = 'fired'

),

regions as (

    select
        region,
        state as initial_state
    from states
    where is_initial

),

-- which signals can move anything in which region, and which of two at the same instant comes first?
moving as (

    select
        states.region,
        transitions.signal_id,
        min(transitions.priority) as priority
    from transitions
    inner join states
        on transitions.from_state = states.state
    group by states.region, transitions.signal_id

),

numbered as (

    select
        occurrences.customer_id,
        moving.region,
        occurrences.signal_id,
        occurrences.occurrence_id,
        occurrences.occurred_at,
        occurrences.detected_at,
        moving.priority,
        occurrences.proving_event_ids,
        row_number() over (
            partition by occurrences.customer_id, moving.region
            order by occurrences.occurred_at, moving.priority, occurrences.signal_id, occurrences.occurrence_id
        ) as signal_number
    from occurrences
    inner join moving
        on occurrences.signal_id = moving.signal_id

),

first_signals as (

    select
        customer_id,
        min(occurred_at) as first_signal_at
    from numbered
    group by customer_id

),

started as (

    select
        customers.customer_id,
        regions.region,
        regions.initial_state as state,
        least(customers.first_seen_at, first_signals.first_signal_at) as entered_at
    from customers
    cross join regions
    left join first_signals
        on customers.customer_id = first_signals.customer_id

),

folded as (

    select
        customer_id,
        region,
        cast(0 as bigint) as signal_number,
        cast(0 as bigint) as moves_made,
        state,
        cast(null as {{ dbt.type_string() }}) as state_before,
        cast(null as {{ dbt.type_string() }}) as resume_state,
        cast(null as {{ dbt.type_string() }}) as reason,
        true as has_moved
    from started
    union all
    select
        folded.customer_id,
        folded.region,
        numbered.signal_number,
        case when transitions.to_state is null then folded.moves_made else folded.moves_made + 1 end as moves_made,
        case
            when transitions.to_state is null then folded.state
            when transitions.to_state = 'resume' then folded.resume_state
            else transitions.to_state
        end as state,
        case when transitions.to_state is null then folded.state_before else folded.state end as state_before,
        case
            when transitions.to_state is null then folded.resume_state
            -- an interruption of an interruption still goes back to what was interrupted first
            when to_states.is_interruption and not from_states.is_interruption then folded.state
            when to_states.is_interruption then folded.resume_state
        end as resume_state,
        case when transitions.to_state is null then folded.reason else transitions.reason end as reason,
        transitions.to_state is not null as has_moved
    from folded
    inner join numbered
        on
            folded.customer_id = numbered.customer_id
            and folded.region = numbered.region
            and folded.signal_number + 1 = numbered.signal_number
    inner join states as from_states
        on folded.state = from_states.state
    left join transitions
        on
            folded.state = transitions.from_state
            and numbered.signal_id = transitions.signal_id
    left join states as to_states
        on transitions.to_state = to_states.state

)

select
    folded.customer_id,
    folded.region,
    folded.moves_made + 1 as state_sequence,
    folded.state,
    folded.state_before,
    folded.reason,
    numbered.signal_id,
    numbered.occurrence_id,
    numbered.proving_event_ids,
    coalesce(numbered.priority, 0) as priority,
    coalesce(numbered.occurred_at, started.entered_at) as valid_from,
    numbered.detected_at
from folded
inner join started
    on
        folded.customer_id = started.customer_id
        and folded.region = started.region
left join numbered
    on
        folded.customer_id = numbered.customer_id
        and folded.region = numbered.region
        and folded.signal_number = numbered.signal_number
where folded.has_moved
