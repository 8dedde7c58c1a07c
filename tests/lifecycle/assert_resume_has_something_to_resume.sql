-- Guards the playbook: `resume` only leads out of an interruption, an interruption is never the initial state, and
-- moves stay within their region. Otherwise the fold would arrive at no state at all.

with

transitions as (

    select
        transitions.from_state,
        transitions.signal_id,
        transitions.to_state,
        from_states.region as from_region,
        from_states.is_interruption as from_interruption,
        to_states.region as to_region
    from {{ ref('lifecycle_transitions') }} as transitions
    left join {{ ref('lifecycle_states') }} as from_states
        on transitions.from_state = from_states.state
    left join {{ ref('lifecycle_states') }} as to_states
        on transitions.to_state = to_states.state

)

select
    from_state,
    signal_id,
    'resume without an interruption' as fault
from transitions
where to_state = 'resume' and not from_interruption
union all
select
    from_state,
    signal_id,
    'leaves its region, or moves what is derived' as fault
from transitions
where from_region != to_region or from_region = 'customer'
union all
select
    state as from_state,
    cast(null as {{ dbt.type_string() }}) as signal_id,
    'an interruption at the beginning' as fault
from {{ ref('lifecycle_states') }}
where is_initial and is_interruption
