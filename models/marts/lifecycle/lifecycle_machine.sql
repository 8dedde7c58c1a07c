-- One row per state of the machine and way out of it; a state without a way out has one row.
-- Why it exists: who reads a customer's state can see which machine it stands in, who answers for each state and what
-- leads where, without opening the playbook. `resume` is written out: an interruption leads back to every state that
-- it can interrupt. Region `customer` has no ways of its own: what it shows follows from the others.

with

states as (

    select * from {{ ref('lifecycle_states') }}

),

transitions as (

    select * from {{ ref('lifecycle_transitions') }}

),

display_rules as (

    select * from {{ ref('lifecycle_display') }}

),

-- what does a state interrupt, if it is an interruption?
interrupted as (

    select distinct
        from_state,
        to_state
    from transitions

),

-- where does each transition lead?
ways as (

    select
        from_state,
        to_state,
        signal_id,
        priority,
        reason
    from transitions
    where to_state != 'resume'

    union all

    select
        resumed.from_state,
        interrupted.from_state as to_state,
        resumed.signal_id,
        resumed.priority,
        resumed.reason
    from transitions as resumed
    inner join interrupted
        on resumed.from_state = interrupted.to_state
    where resumed.to_state = 'resume'

),

-- all signals that lead the same way
grouped as (

    select
        from_state,
        to_state,
        {{ dbt.listagg('signal_id', "', '", 'order by priority, signal_id') }} as signals,
        {{ dbt.listagg('reason', "' or '", 'order by priority, signal_id') }} as because
    from ways
    group by
        from_state,
        to_state

),

-- by which places in the other regions is a derived state shown?
derived as (

    select
        state,
        {{ dbt.listagg(
            "concat_ws(', ', 'engagement ' || replace(engagement, ' ', ' or '),"
            ~ " 'revenue ' || replace(revenue, ' ', ' or '), 'risk ' || replace(risk, ' ', ' or '))",
            "'; or '",
            'order by position'
        ) }} as shown_when
    from display_rules
    group by state

)

select
    states.state || ' > ' || coalesce(grouped.to_state, '') as way_id,
    states.region,
    states.state as lifecycle_state,
    states.position as state_position,
    states.owner_team,
    states.is_initial,
    states.is_danger,
    states.time_limit_days,
    states.meaning as state_meaning,
    derived.shown_when,
    grouped.to_state as next_lifecycle_state,
    grouped.signals as moved_by_signals,
    grouped.because as moved_because,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from states
left join grouped
    on states.state = grouped.from_state
left join derived
    on states.state = derived.state
