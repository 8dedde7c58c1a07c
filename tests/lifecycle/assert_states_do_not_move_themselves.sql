-- Guards the seed lifecycle_transitions: a signal that looks at states is told when they are known, so a transition
-- that waits for it would never happen.

select
    transitions.from_state,
    transitions.signal_id
from {{ ref('lifecycle_transitions') }} as transitions
inner join {{ ref('signal_definitions') }} as signals
    on transitions.signal_id = signals.signal_id
where
    signals.behaviour is null
    or signals.rearm = 'on_state_entry'
