-- One row per hand-off: a customer moved from a state that one team owns to a state that another one owns.
-- Why it exists: customers are lost between teams. A hand-off says to both sides who, why and by which proof, what is
-- permitted now, and whether the new owner acted in time.

with

hand_offs as (

    select * from {{ ref('int_hand_offs__followed') }}

)

select
    hand_off_id,
    customer_id,
    cast(state_sequence as bigint) as state_sequence,
    from_team,
    to_team,
    from_state,
    to_state,
    handed_because,
    proof_occurrence_id,
    proof_event_ids,
    permitted_actions,
    handed_at,
    recorded_at,
    pick_up_by,
    picked_up_at,
    picked_up_by_action,
    ended_at,
    outcome,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from hand_offs
