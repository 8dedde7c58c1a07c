-- Guards the playbook: one initial state per region, every state can be reached from it, and only a final state is
-- without a way out. An unreachable state is a permit nobody will ever get; a trap is a customer nobody will ever see
-- again.

with recursive

-- what is shown is derived from the regions that move; `lifecycle check` judges the rules for it
states as (

    select * from {{ ref('lifecycle_states') }}
    where region != 'customer'

),

-- `resume` leads back to wherever an interruption can come from
edges as (

    select
        from_state,
        to_state,
        false as is_resumed
    from {{ ref('lifecycle_transitions') }}
    where to_state != 'resume'
    union
    select
        resumed.from_state,
        interrupting.from_state as to_state,
        true as is_resumed
    from {{ ref('lifecycle_transitions') }} as resumed
    inner join {{ ref('lifecycle_transitions') }} as interrupting
        on resumed.from_state = interrupting.to_state
    where resumed.to_state = 'resume'

),

reached as (

    select state from states
    where is_initial
    union
    select edges.to_state as state
    from reached
    inner join edges
        on reached.state = edges.from_state
    -- whoever resumes a state has been in it before, so that is no way to reach it
    where not edges.is_resumed

),

faults as (

    select
        states.state,
        'cannot be reached' as fault
    from states
    left join reached
        on states.state = reached.state
    where reached.state is null
    union all
    select
        states.state,
        'cannot be left, and is not final' as fault
    from states
    left join edges
        on states.state = edges.from_state
    where edges.from_state is null and not states.is_final
    union all
    select
        states.state,
        'can be left, and is final' as fault
    from states
    inner join edges
        on states.state = edges.from_state
    where states.is_final
    union all
    select
        region as state,
        'has not exactly one initial state' as fault
    from states
    group by region
    having count(*) filter (where is_initial) != 1

)

select * from faults
