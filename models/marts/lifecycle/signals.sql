-- One row per occurrence of a signal, with the events that prove it and the definition under which it was found. Why
-- it exists: every state and every action points here; whoever doubts one can look up what happened, when, and when
-- we knew. Rows with outcome `unknown` are absences that a stale silo could not prove; nothing acts on them.

with

occurrences as (

    select * from {{ ref('int_signals__told') }}

)

select
    occurrence_id,
    signal_id,
    kind,
    definition_hash,
    customer_id,
    user_id,
    unit,
    source,
    outcome,
    occurred_at,
    detected_at,
    is_historical,
    stale_at,
    cast(proof_count as bigint) as proof_count,
    proof_from,
    proof_to,
    proving_event_ids,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from occurrences
