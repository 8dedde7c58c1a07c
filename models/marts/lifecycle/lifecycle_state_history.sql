-- One row per stay of a customer in a lifecycle state, with the owner and the proof.
-- Stays partition the time since the customer was first seen. A move backwards is a row like any other.

with

stays as (

    select * from {{ ref('int_lifecycle__dated') }}

)

select
    customer_id,
    region,
    cast(state_sequence as bigint) as state_sequence,
    state as lifecycle_state,
    owner_team,
    valid_from,
    valid_to,
    is_current,
    state_before as previous_lifecycle_state,
    signal_id as entered_by_signal,
    reason as entered_because,
    occurrence_id as proof_occurrence_id,
    proving_event_ids as proof_event_ids,
    effective_at,
    recorded_at,
    time_limit_at,
    machine_version,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from stays
